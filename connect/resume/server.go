package resume

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// ServerConfig tunes a Server. The zero value, but for Handle, has defaults.
type ServerConfig struct {
	// Handle serves one stream, which is for what the client's Config.Service
	// says, and closes it. It is called in a goroutine of its own, once per
	// stream; ctx ends with the stream. Required.
	Handle func(ctx context.Context, service byte, conn net.Conn)

	// Streams bounds those that live, connected or not; 0 means 256. One more
	// ends the one that has waited for its client longest: whoever was killed
	// never comes back. It is refused when none waits.
	Streams int

	// Keep is how long a stream waits for its client to come back; 0 means the
	// constant Keep.
	Keep time.Duration

	// Log gets streams that began, waited or ended; nil discards.
	Log *slog.Logger
}

// Server keeps the streams of many clients. Use NewServer.
type Server struct {
	cfg ServerConfig

	mu      sync.Mutex
	closed  bool
	streams map[ID]*served
	running sync.WaitGroup // handlers and watches; Add under mu
}

// served is one stream of a server.
type served struct {
	*Stream
	peer  netip.Addr
	timer *time.Timer // runs while no connection is there; guarded by Server.mu
	left  time.Time   // when the last connection ended
	conns int         // connections that carry it or are about to
}

// NewServer returns a server without streams.
func NewServer(cfg ServerConfig) *Server {
	if cfg.Streams == 0 {
		cfg.Streams = 256
	}
	if cfg.Keep == 0 {
		cfg.Keep = Keep
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg: cfg, streams: map[ID]*served{}}
}

// Streams counts the streams that live, and those of them that wait for their
// client.
func (s *Server) Streams() (all, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.streams {
		if st.conns == 0 {
			waiting++
		}
	}
	return len(s.streams), waiting
}

// ServeConn carries the stream that a client asks for over raw until either
// breaks, and closes raw. The error is why, nil when the stream ended.
func (s *Server) ServeConn(raw net.Conn) error {
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(answerTimeout))
	in := bufio.NewReaderSize(raw, readSize)
	g, err := readGreeting(in)
	if err != nil {
		return err
	}
	st, status := s.find(g, raw)
	if st == nil {
		_, err := raw.Write(answer{status: status}.append(nil))
		return err
	}
	defer s.leave(st)
	if err := st.attach(raw, g.received); err != nil {
		_, _ = raw.Write(answer{status: statusUnknown}.append(nil))
		return err
	}
	st.mu.Lock()
	received := st.receivedLocked()
	st.mu.Unlock()
	if _, err := raw.Write(answer{received: received}.append(nil)); err != nil {
		_ = raw.Close() // carry finds it so
	}
	_ = raw.SetDeadline(time.Time{})
	if err := st.carry(raw, in, nil); !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// find returns the stream that is asked for, made if need be, and counts the
// connection.
func (s *Server) find(g greeting, raw net.Conn) (*served, byte) {
	peer := addrOf(raw)
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.streams[g.id]
	switch {
	case s.closed:
		return nil, statusUnknown
	case st != nil && st.peer == peer:
		st.conns++
		if st.timer != nil {
			st.timer.Stop()
		}
		return st, statusAttached
	case st != nil || !g.fresh || g.received != 0:
		return nil, statusUnknown
	case len(s.streams) >= s.cfg.Streams && !s.evictLocked():
		s.cfg.Log.Warn("session refused, there are too many", "sessions", len(s.streams))
		return nil, statusFull
	}
	st = &served{Stream: newStream(g.id, raw.LocalAddr(), raw.RemoteAddr()), peer: peer, conns: 1}
	s.streams[g.id] = st
	s.running.Go(func() { s.run(st, g.service) })
	return st, statusAttached
}

// evictLocked ends the stream that has waited longest, if one waits.
func (s *Server) evictLocked() bool {
	var oldest *served
	for _, st := range s.streams {
		if st.conns == 0 && (oldest == nil || st.left.Before(oldest.left)) {
			oldest = st
		}
	}
	if oldest == nil {
		return false
	}
	s.cfg.Log.Info("session ended for a new one, its client has been away longest", "since", oldest.left)
	delete(s.streams, oldest.id)
	oldest.finish(ErrExpired)
	return true
}

// run serves one stream and forgets it when it is over.
func (s *Server) run(st *served, service byte) {
	ctx, cancel := context.WithCancel(context.Background())
	var handling sync.WaitGroup
	handling.Go(func() { s.cfg.Handle(ctx, service, st.Stream) })
	<-st.ended
	cancel()
	s.mu.Lock()
	delete(s.streams, st.id)
	if st.timer != nil {
		st.timer.Stop()
	}
	s.mu.Unlock()
	handling.Wait()
}

// leave is called when a connection has ended. A stream without one waits.
func (s *Server) leave(st *served) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.conns--; st.conns > 0 || s.streams[st.id] != st {
		return
	}
	st.left = time.Now()
	st.timer = time.AfterFunc(s.cfg.Keep, func() { st.finish(ErrExpired) })
}

// Close ends every stream and waits for their handlers.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, st := range s.streams {
		st.finish(net.ErrClosed)
	}
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

// addrOf is who made a connection; the zero Addr where that has no address.
func addrOf(conn net.Conn) netip.Addr {
	if conn.RemoteAddr() == nil {
		return netip.Addr{}
	}
	addr, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return addr.Addr()
}
