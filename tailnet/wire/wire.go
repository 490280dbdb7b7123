// Package wire carries dRPC calls over one byte stream, in the form that
// existing agents, clients and servers use:
//
//	dRPC    one call or stream per yamux stream, closed when it ends;
//	        messages up to 4 MiB both ways
//	yamux   default configuration; the server of the WebSocket is the
//	        yamux server
//	stream  a WebSocket of binary messages whose borders carry no meaning
//
// The calling side is made of the libraries of yamux and dRPC. The answering
// side, of which a server has thousands, is our own: one goroutine that reads,
// one for each call that does something, and none for calls that wait (see
// Call.Linger).
//
// Dialling the WebSocket, and what the calls mean, is left to the callers.
package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/coder/websocket"
	"github.com/hashicorp/yamux"
	"storj.io/drpc"
	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcmanager"
	"storj.io/drpc/drpcwire"
)

// MaxMessage is the size in bytes of the largest dRPC message and of the
// largest WebSocket message either side accepts.
const MaxMessage = 4 << 20

// Stream returns the byte stream of a WebSocket. Closing it closes the
// WebSocket; so does the end of ctx.
func Stream(ctx context.Context, ws *websocket.Conn) net.Conn {
	ws.SetReadLimit(MaxMessage)
	return &stream{Conn: websocket.NetConn(ctx, ws, websocket.MessageBinary)}
}

// stream remembers why it ended: yamux tells its users only that it did.
type stream struct {
	net.Conn
	mu  sync.Mutex
	err error // the other side's close frame, else the first error
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	s.ended(err)
	return n, err
}

// Close may be what reads the other side's close frame: when a write fails
// first, nobody else is left to.
func (s *stream) Close() error {
	err := s.Conn.Close()
	s.ended(err)
	return err
}

func (s *stream) ended(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var closed websocket.CloseError
	if s.err == nil || errors.As(err, &closed) && !errors.As(s.err, &closed) {
		s.err = err
	}
}

func (s *stream) cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func config() *yamux.Config {
	c := yamux.DefaultConfig()
	c.LogOutput = io.Discard // what ends a session is returned by its callers
	return c
}

// Conn is the calling side of a session. It is a drpc.Conn on which any number
// of calls and streams may be open at once.
type Conn struct {
	session *yamux.Session
	stream  net.Conn
}

// NewClient returns the calling side over stream, which it owns from now on
// and closes with itself.
func NewClient(stream net.Conn) (*Conn, error) {
	session, err := yamux.Client(stream, config())
	if err != nil {
		return nil, fmt.Errorf("open yamux session: %w", err)
	}
	return &Conn{session: session, stream: stream}, nil
}

var _ drpc.Conn = (*Conn)(nil)

// Close ends every call on the connection.
func (c *Conn) Close() error { return c.session.Close() }

// Closed returns a channel that is closed when the connection is gone,
// whichever side ended it.
func (c *Conn) Closed() <-chan struct{} { return c.session.CloseChan() }

// Cause closes the connection and returns why it ended, as far as the other
// side said: a websocket.CloseError with its code and reason where there was
// one. It is nil for streams not made by Stream. It waits for the reader, which
// may still be about to see the reason when the channel of Closed is closed.
func (c *Conn) Cause() error {
	_ = c.Close()
	if s, ok := c.stream.(*stream); ok {
		return s.cause()
	}
	return nil
}

// Invoke makes one call and waits for its answer.
func (c *Conn) Invoke(ctx context.Context, rpc string, enc drpc.Encoding, in, out drpc.Message) error {
	conn, err := c.open()
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Invoke(ctx, rpc, enc, in, out)
}

// NewStream opens one stream. Its yamux stream is closed when the dRPC stream
// ends: by Close, by the end of ctx or by the other side.
func (c *Conn) NewStream(ctx context.Context, rpc string, enc drpc.Encoding) (drpc.Stream, error) {
	conn, err := c.open()
	if err != nil {
		return nil, err
	}
	stream, err := conn.NewStream(ctx, rpc, enc)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	context.AfterFunc(stream.Context(), func() { conn.Close() })
	return stream, nil
}

func (c *Conn) open() (*drpcconn.Conn, error) {
	s, err := c.session.OpenStream()
	if err != nil {
		return nil, fmt.Errorf("open yamux stream: %w", err)
	}
	return drpcconn.NewWithOptions(s, drpcconn.Options{Manager: managerOptions()}), nil
}

func managerOptions() drpcmanager.Options {
	return drpcmanager.Options{Reader: drpcwire.ReaderOptions{MaximumBufferSize: MaxMessage}}
}
