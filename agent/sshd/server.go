//go:build linux

package sshd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// version is what the server says it is. OpenSSH's client sends
// eow@openssh.com and no-more-sessions@openssh.com only to servers whose
// software version starts with "OpenSSH"; without the first, the remote end of
// "ssh ws yes | head" would run for ever.
const version = "SSH-2.0-OpenSSH_Berth"

// rekeyAfter is the number of bytes after which keys are exchanged anew, in
// each direction: what RFC 4253 §9 recommends, whatever the cipher could do.
const rekeyAfter = 1 << 30

// A Server serves SSH on connections that are handed to it. Use New.
type Server struct {
	cfg       Config
	limits    Limits
	ssh       *ssh.ServerConfig
	log       *slog.Logger
	counters  counters
	displays  displays
	takeovers takeovers
	shutdown  sync.Once

	mu        sync.Mutex
	closed    bool
	closeErr  error
	listeners map[net.Listener]struct{}
	conns     map[net.Conn]struct{}
	processes map[*process]struct{}
	types     map[string]int // sessions now, by their type
	running   sync.WaitGroup // connections and processes; Add under mu
}

// New returns a server that identifies itself with key.
func New(key ssh.Signer, cfg Config) *Server {
	s := &Server{
		cfg:       cfg,
		limits:    cfg.Limits.withDefaults(),
		log:       cfg.Log,
		listeners: map[net.Listener]struct{}{},
		conns:     map[net.Conn]struct{}{},
		processes: map[*process]struct{}{},
		types:     map[string]int{},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.cfg.CloseGrace == 0 {
		s.cfg.CloseGrace = 3 * time.Second
	}
	if s.cfg.MaxTimeout == 0 {
		s.cfg.MaxTimeout = 72 * time.Hour
	}
	s.ssh = &ssh.ServerConfig{NoClientAuth: true, ServerVersion: version}
	s.ssh.RekeyThreshold = rekeyAfter
	s.ssh.Ciphers = []string{
		ssh.CipherAES128GCM, ssh.CipherChaCha20Poly1305, ssh.CipherAES256GCM,
		ssh.CipherAES128CTR, ssh.CipherAES192CTR, ssh.CipherAES256CTR,
	}
	s.ssh.AddHostKey(key)
	return s
}

// Serve accepts connections from ln until ctx ends, ln fails or the server is
// closed, and then waits for those it accepted, which it ends. It closes ln.
// It returns nil unless ln failed. It may be called for several listeners at
// once.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	if !s.addListener(ln) {
		_ = ln.Close()
		return nil
	}
	defer s.removeListener(ln)
	ctx, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()

	var handlers sync.WaitGroup
	defer handlers.Wait()
	defer cancel()
	for {
		conn, err := accept(ctx, ln)
		switch {
		case err == nil:
			handlers.Go(func() { s.HandleConn(ctx, conn) })
		case ctx.Err() != nil || s.isClosed():
			return nil
		default:
			return fmt.Errorf("accept ssh connection: %w", err)
		}
	}
}

// accept is ln.Accept that outlives a shortage of file descriptors or memory:
// it waits, longer each time, until one is free.
func accept(ctx context.Context, ln net.Listener) (net.Conn, error) {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		conn, err := ln.Accept()
		if err == nil || !scarce(err) {
			return conn, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// scarce reports whether err says that the machine is short of something just
// now, or that a peer left before it was accepted.
func scarce(err error) bool {
	for _, errno := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// HandleConn serves one connection and returns when it has ended, by the
// client, by ctx or by Close. It closes conn. Commands without a terminal may
// outlive it, as they do under sshd; Close ends those.
func (s *Server) HandleConn(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	if !s.addConn(conn) {
		return
	}
	defer s.removeConn(conn)
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	s.counters.connections.Add(1)

	_ = conn.SetDeadline(time.Now().Add(s.limits.Handshake))
	buffered := newBufferedConn(conn)
	sc, chans, reqs, err := ssh.NewServerConn(buffered, s.ssh)
	if err != nil {
		s.counters.handshakesFailed.Add(1)
		s.log.DebugContext(ctx, "ssh handshake failed", "peer", conn.RemoteAddr(), "error", clip(err.Error()))
		return
	}
	_ = conn.SetDeadline(time.Time{})
	newConnection(s, sc, buffered).serve(ctx, chans, reqs)
}

// clip bounds an error text that may hold what a stranger sent.
func clip(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	return text[:most] + "…"
}

func (s *Server) addListener(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.listeners[ln] = struct{}{}
	return true
}

func (s *Server) removeListener(ln net.Listener) {
	_ = ln.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, ln)
}

func (s *Server) addConn(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if len(s.conns) >= s.limits.Connections {
		s.counters.connectionsRefused.Add(1)
		return false
	}
	s.conns[conn] = struct{}{}
	s.running.Add(1)
	return true
}

func (s *Server) removeConn(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
	s.running.Done()
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}
