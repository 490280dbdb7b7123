package server

import (
	"context"
	"net/http"

	"github.com/berthdev/berth/server/api"
)

// getInbox says that there are no notifications: this server sends none yet.
// Editors ask for them whenever they connect.
func (s *Server) getInbox(w http.ResponseWriter, _ *http.Request) error {
	return ok(w, api.Inbox{Notifications: []api.InboxNotification{}})
}

// watchInbox is the stream of notifications, on which nothing comes but signs of
// life. Editors that were refused it would log an error at each connection.
func (s *Server) watchInbox(w http.ResponseWriter, r *http.Request) error {
	return s.serveSocket(w, r, func(ctx context.Context, socket jsonSocket) error {
		return follow(ctx, socket, func() (<-chan struct{}, error) { return make(chan struct{}), nil })
	})
}
