package wire

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/coder/websocket"
)

// socketTimeout is how long a write to a WebSocket may take, and with it the
// session: as long as yamux lets its own take.
const socketTimeout = 10 * time.Second

// Socket is a WebSocket as the byte stream of a Server. It does what Stream
// does and holds less memory, but knows neither deadlines nor a context.
type Socket struct {
	ws  *websocket.Conn
	msg io.Reader // nil between two messages
}

// NewSocket returns the byte stream of a WebSocket.
func NewSocket(ws *websocket.Conn) *Socket {
	ws.SetReadLimit(MaxMessage)
	return &Socket{ws: ws}
}

// Read returns io.EOF when the other side has closed the WebSocket without a
// complaint.
func (s *Socket) Read(p []byte) (int, error) {
	for {
		if err := s.nextMessage(); err != nil {
			return 0, err
		}
		n, err := s.msg.Read(p)
		if err == io.EOF {
			s.msg, err = nil, nil
		}
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
}

func (s *Socket) nextMessage() error {
	if s.msg != nil {
		return nil
	}
	kind, msg, err := s.ws.Reader(context.Background())
	switch websocket.CloseStatus(err) {
	case websocket.StatusNormalClosure, websocket.StatusGoingAway:
		return io.EOF
	}
	if err != nil {
		return err
	}
	if kind != websocket.MessageBinary {
		return fmt.Errorf("message of type %v", kind)
	}
	s.msg = msg
	return nil
}

// Write sends p as one message. It fails, and the WebSocket with it, when that
// takes 10 s.
func (s *Socket) Write(p []byte) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), socketTimeout)
	defer cancel()
	if err := s.ws.Write(ctx, websocket.MessageBinary, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close ends the WebSocket and says that nothing was wrong.
func (s *Socket) Close() error { return s.ws.Close(websocket.StatusNormalClosure, "") }
