//go:build linux

package sshd

import (
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Close ends everything in order: listeners, connections (which hangs up their
// terminals), then the processes that are left, first asked to end, after
// Config.CloseGrace killed. Processes that moved to a session of their own are
// not ours any more and stay. It returns when all is gone, or with an error
// when something cannot even be killed within another CloseGrace. It may be
// called more than once; every call waits and returns the same.
func (s *Server) Close() error {
	s.shutdown.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *Server) close() error {
	s.mu.Lock()
	s.closed = true
	for ln := range s.listeners {
		_ = ln.Close()
	}
	for conn := range s.conns {
		abort(conn)
	}
	s.mu.Unlock()

	ended := make(chan struct{})
	go func() { s.running.Wait(); close(ended) }()
	s.signalAll(func(p *process) unix.Signal { return p.farewell() })
	if within(ended, s.cfg.CloseGrace) {
		return nil
	}
	s.signalAll(func(*process) unix.Signal { return unix.SIGKILL })
	if within(ended, s.cfg.CloseGrace) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Errorf("close ssh server: %d connections and %d processes do not end", len(s.conns), len(s.processes))
}

// abort closes conn without waiting for bytes that the peer does not take.
func abort(conn net.Conn) {
	_ = conn.SetDeadline(time.Now())
	_ = conn.Close()
}

func within(done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

func (s *Server) signalAll(which func(*process) unix.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.processes {
		p.signal(which(p))
	}
}

// addProcess starts p and puts it among the processes that Close ends and
// waits for, until removeProcess. A process that starts while the server is
// closing is not started or is asked to end at once.
func (s *Server) addProcess(p *process) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errClosing
	}
	s.running.Add(1)
	s.mu.Unlock()
	if err := p.start(oomScore(s.environ())); err != nil {
		s.running.Done()
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.processes[p] = struct{}{}
	if s.closed {
		p.signal(p.farewell())
	}
	return nil
}

func (s *Server) removeProcess(p *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.processes, p)
	s.running.Done()
}
