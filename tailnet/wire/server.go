package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"storj.io/drpc"
)

const (
	// maxCalls is how many streams one session may have open, beyond which new
	// ones are reset. An agent has about five.
	maxCalls = 1024
	// maxBuffered is how many bytes of unread and unfinished messages a session
	// may hold: four of the largest. A call that goes beyond it is reset.
	maxBuffered = 4*MaxMessage + 1<<20
)

// Server is the answering side of a session.
type Server struct {
	stream   io.ReadWriteCloser
	began    time.Time
	heard    atomic.Int64 // nanoseconds after began
	pings    atomic.Uint32
	buffered atomic.Int64   // bytes
	running  sync.WaitGroup // calls

	head    [headerSize]byte // the reader's
	writing sync.Mutex       // one frame at a time

	mu    sync.Mutex // guards below; taken after Call.mu
	calls map[uint32]*Call
}

// NewServer returns the answering side over stream, which it owns from now on.
// Writes to the stream must end in bounded time, as those of Socket do. Call
// Serve to answer and Close to end.
func NewServer(stream io.ReadWriteCloser) *Server {
	return &Server{stream: stream, began: time.Now(), calls: map[uint32]*Call{}}
}

// Close ends the session and every call on it.
func (s *Server) Close() error { return s.stream.Close() }

// Ping asks the other side for a sign of life, for which it does not wait: see
// Silence. It blocks until the question is written.
func (s *Server) Ping() error {
	return s.write(header{kind: typePing, flags: flagSYN, length: s.pings.Add(1)})
}

// Silence is for how long the other side has sent nothing.
func (s *Server) Silence() time.Duration {
	return time.Since(s.began) - time.Duration(s.heard.Load())
}

// Serve answers calls with handler until the session or ctx ends, and returns
// when every call has returned. The end of the session is not an error.
func (s *Server) Serve(ctx context.Context, handler drpc.Handler) error {
	calls, cancel := context.WithCancel(ctx)
	defer s.running.Wait()
	defer cancel()
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	}
	err := s.read(calls, handler)
	if errors.Is(err, errProtocol) {
		_ = s.write(header{kind: typeGoAway, length: protocolError}) // as a courtesy
	}
	_ = s.Close()
	s.endCalls()
	return sessionEnd(ctx, err)
}

func sessionEnd(ctx context.Context, err error) error {
	var closed websocket.CloseError
	if ctx.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) || errors.As(err, &closed) {
		return nil
	}
	return fmt.Errorf("read session: %w", err)
}

func (s *Server) endCalls() {
	s.mu.Lock()
	calls := s.calls
	s.calls = nil
	s.mu.Unlock()
	for _, c := range calls {
		c.terminate(io.ErrClosedPipe)
	}
}

// read takes frames until the stream ends.
func (s *Server) read(ctx context.Context, handler drpc.Handler) error {
	for {
		if _, err := io.ReadFull(s.stream, s.head[:]); err != nil {
			return err
		}
		s.heard.Store(int64(time.Since(s.began)))
		h, err := parseHeader(&s.head)
		if err != nil {
			return err
		}
		if err := s.take(ctx, handler, h); err != nil {
			return err
		}
	}
}

func (s *Server) take(ctx context.Context, handler drpc.Handler, h header) error {
	switch h.kind {
	case typePing:
		if h.flags&flagSYN != 0 {
			return s.write(header{kind: typePing, flags: flagACK, length: h.length})
		}
		return nil
	case typeGoAway:
		if h.length != 0 {
			return fmt.Errorf("%w: the other side went away for reason %d", errProtocol, h.length)
		}
		return nil // it wants no new streams of us, who open none
	}
	if h.flags&flagSYN != 0 {
		if err := s.open(ctx, handler, h.id); err != nil {
			return err
		}
	}
	c := s.call(h.id)
	if err := s.takeBody(c, h); err != nil || c == nil {
		return err
	}
	switch {
	case h.flags&flagRST != 0:
		c.forget()
		c.terminate(context.Canceled)
	case h.flags&flagFIN != 0:
		return c.closedByCaller()
	}
	return nil
}

// takeBody takes what a frame holds for a call. Calls that are nil are those
// that we have reset.
func (s *Server) takeBody(c *Call, h header) error {
	switch {
	case h.kind == typeData && c == nil:
		_, err := io.CopyN(io.Discard, s.stream, int64(h.length))
		return err
	case h.kind == typeData && h.length > 0:
		return c.read(s.stream, h.length)
	case h.kind == typeWindow && c != nil:
		c.widen(h.length)
	}
	return nil
}

func (s *Server) call(id uint32) *Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[id]
}

// open begins a stream.
func (s *Server) open(ctx context.Context, handler drpc.Handler, id uint32) error {
	s.mu.Lock()
	known, many := s.calls[id] != nil, len(s.calls) >= maxCalls
	if !known && !many {
		s.calls[id] = newCall(ctx, s, handler, id)
	}
	s.mu.Unlock()
	switch {
	case known:
		return fmt.Errorf("%w: stream %d begins twice", errProtocol, id)
	case many:
		return s.write(header{kind: typeWindow, flags: flagRST, id: id})
	}
	return s.write(header{kind: typeWindow, flags: flagACK, id: id})
}

func (s *Server) forget(id uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.calls, id)
}

// write sends a frame without data.
func (s *Server) write(h header) error {
	frame := make([]byte, headerSize)
	h.put(frame)
	return s.writeFrame(frame)
}

// writeFrame ends the session when it fails.
func (s *Server) writeFrame(frame []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if _, err := s.stream.Write(frame); err != nil {
		return errors.Join(err, s.stream.Close())
	}
	return nil
}
