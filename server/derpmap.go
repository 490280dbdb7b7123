package server

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/coder/websocket"
)

// binarySocket is a jsonSocket of binary messages, as clients of the map of
// relays expect them.
type binarySocket struct{ jsonSocket }

func (b binarySocket) send(ctx context.Context, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return b.ws.Write(ctx, websocket.MessageBinary, raw)
}

// watchDERPMap streams the map of relays: at once and after each change.
func (s *Server) watchDERPMap(w http.ResponseWriter, r *http.Request) error {
	return s.serveSocket(w, r, func(ctx context.Context, socket jsonSocket) error {
		out := binarySocket{socket}
		return follow(ctx, out, func() (<-chan struct{}, error) {
			m, changed := s.maps.Watch()
			return changed, out.send(ctx, m)
		})
	})
}
