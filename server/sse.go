package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// sse writes server-sent events: "data" with JSON, and "ping".
type sse struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func (e sse) send(_ context.Context, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return e.write(fmt.Sprintf("event: data\ndata: %s\n\n", raw))
}

func (e sse) ping(context.Context) error { return e.write("event: ping\n\n") }

func (e sse) write(text string) error {
	if err := e.rc.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := e.w.Write([]byte(text)); err != nil {
		return err
	}
	return e.rc.Flush()
}

// serveSSE runs fn with a stream of events that lasts until fn returns, the
// client leaves or the server stops.
func (s *Server) serveSSE(w http.ResponseWriter, r *http.Request, fn func(ctx context.Context, out sse) error) error {
	ctx, done, err := s.streams.begin(r.Context(), callerOf(r).UserID)
	if err != nil {
		return err
	}
	defer done()
	out := sse{w: w, rc: http.NewResponseController(w)}
	if err := out.rc.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("prepare stream: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("Connection", "keep-alive")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	if err := fn(ctx, out); err != nil && ctx.Err() == nil {
		s.log.Debug("event stream ended", "request", requestID(r), "err", err)
	}
	return nil
}
