package server

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
)

// out is a stream to one client: events or a socket.
type out interface {
	send(ctx context.Context, v any) error
	ping(ctx context.Context) error
}

// follow calls tell at once, and again when the channel that it returned holds
// something, until it returns nil, the client is gone or the server stops. In
// between it pings.
func follow(ctx context.Context, to out, tell func() (again <-chan struct{}, err error)) error {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	again, err := tell()
	for err == nil && again != nil {
		select {
		case <-again:
			again, err = tell()
		case <-ping.C:
			err = to.ping(ctx)
		case <-ctx.Done():
			return nil
		}
	}
	return err
}

// watchWorkspace streams a workspace as server-sent events: at once and after
// each change, until it is deleted.
func (s *Server) watchWorkspace(w http.ResponseWriter, r *http.Request) error {
	ws, err := s.pathWorkspace(r, auth.Read)
	if err != nil {
		return err
	}
	return s.serveSSE(w, r, func(ctx context.Context, events sse) error {
		return s.followWorkspace(ctx, ws.ID, callerOf(r).UserID, events, func(ws api.Workspace) error { return events.send(ctx, ws) })
	})
}

// watchWorkspaceSocket is watchWorkspace as a WebSocket.
func (s *Server) watchWorkspaceSocket(w http.ResponseWriter, r *http.Request) error {
	ws, err := s.pathWorkspace(r, auth.Read)
	if err != nil {
		return err
	}
	return s.serveSocket(w, r, func(ctx context.Context, socket jsonSocket) error {
		return s.followWorkspace(ctx, ws.ID, callerOf(r).UserID, socket, func(ws api.Workspace) error {
			return socket.send(ctx, api.StreamEvent{Type: "data", Data: ws})
		})
	})
}

// followWorkspace tells of a workspace until it is deleted.
func (s *Server) followWorkspace(ctx context.Context, id, viewer uuid.UUID, to out, tell func(api.Workspace) error) error {
	changed, stop := s.events.watch(id)
	defer stop()
	return follow(ctx, to, func() (<-chan struct{}, error) {
		ws, err := s.store.WorkspaceByID(ctx, id)
		if err != nil {
			return nil, err
		}
		if err := tell(s.workspaceJSON(ws, viewer)); err != nil || !ws.DeletedAt.IsZero() {
			return nil, err
		}
		return changed, nil
	})
}
