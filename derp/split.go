package derp

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// firstByteTimeout is how long a connection may be silent before it is
	// closed: browsers open some in advance.
	firstByteTimeout = 10 * time.Second
	// maxUndecided bounds the connections that have not sent a byte yet.
	maxUndecided = 1024
	// tlsHandshake is the first byte of a TLS connection (RFC 8446, 5.1).
	tlsHandshake = 0x16
)

// Split shares one listener between TLS and plain HTTP: it reads the first byte
// of each connection. What begins like neither is closed.
type Split struct {
	plain, secure *branch
	ln            net.Listener
	garbage       atomic.Uint64
	tasks         sync.WaitGroup
	slots         chan struct{}

	mu        sync.Mutex
	undecided map[net.Conn]bool // nil after Close
}

// NewSplit accepts from ln until Close, which closes ln.
func NewSplit(ln net.Listener) *Split {
	s := &Split{ln: ln, slots: make(chan struct{}, maxUndecided), undecided: map[net.Conn]bool{}}
	s.plain, s.secure = newBranch(ln.Addr()), newBranch(ln.Addr())
	s.tasks.Go(s.accept)
	return s
}

// Plain returns the listener of connections that begin like HTTP.
func (s *Split) Plain() net.Listener { return s.plain }

// TLS returns the listener of connections that begin like TLS. They are not
// decrypted yet.
func (s *Split) TLS() net.Listener { return s.secure }

// Garbage returns how many connections were closed because they began like
// neither, sent nothing in time, or came when too many sent nothing.
func (s *Split) Garbage() uint64 { return s.garbage.Load() }

// Close closes the listener and the connections that neither branch has
// accepted, and waits until all is done. It may be called twice.
func (s *Split) Close() error {
	s.mu.Lock()
	undecided := s.undecided
	s.undecided = nil
	s.mu.Unlock()
	s.closeBranches()
	err := s.ln.Close()
	for c := range undecided {
		_ = c.Close() // its reader ends
	}
	s.tasks.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (s *Split) closeBranches() {
	_ = s.plain.Close() // never fails
	_ = s.secure.Close()
}

func (s *Split) accept() {
	for wait := time.Duration(0); ; {
		c, err := s.ln.Accept()
		switch {
		case err == nil:
			wait = 0
			s.decide(c)
			continue
		case errors.Is(err, net.ErrClosed):
			s.closeBranches()
			return
		}
		// Too many open files, as a rule: give others time to close some.
		wait = min(max(2*wait, 5*time.Millisecond), time.Second)
		select {
		case <-time.After(wait):
		case <-s.plain.done:
		}
	}
}

// decide reads the first byte of c in a goroutine of its own.
func (s *Split) decide(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.undecided == nil { // closed
		_ = c.Close()
		return
	}
	select {
	case s.slots <- struct{}{}:
	default:
		s.reject(c)
		return
	}
	s.undecided[c] = true
	s.tasks.Go(func() {
		defer func() { <-s.slots }()
		s.route(c)
	})
}

func (s *Split) route(c net.Conn) {
	b, err := firstByte(c)
	s.mu.Lock()
	delete(s.undecided, c)
	s.mu.Unlock()
	to := s.plain
	switch {
	case err != nil:
		s.reject(c)
		return
	case b == tlsHandshake:
		to = s.secure
	case b < 'A' || b > 'Z': // the first letter of a method
		s.reject(c)
		return
	}
	select {
	case to.conns <- &begun{Conn: c, first: b}:
	case <-to.done:
		_ = c.Close() // nobody accepts any more
	}
}

func (s *Split) reject(c net.Conn) {
	s.garbage.Add(1)
	_ = c.Close() // there is nobody to tell
}

func firstByte(c net.Conn) (byte, error) {
	if err := c.SetReadDeadline(time.Now().Add(firstByteTimeout)); err != nil {
		return 0, err
	}
	var b [1]byte
	if _, err := c.Read(b[:]); err != nil {
		return 0, err
	}
	return b[0], c.SetReadDeadline(time.Time{})
}

// begun is a connection whose first byte was read already.
type begun struct {
	net.Conn
	first byte
	read  bool // first was handed out; used by the reader only
}

func (c *begun) Read(p []byte) (int, error) {
	if c.read || len(p) == 0 {
		return c.Conn.Read(p)
	}
	c.read = true
	p[0] = c.first
	return 1, nil
}

// NetConn returns the connection below.
func (c *begun) NetConn() net.Conn { return c.Conn }

// branch is one of the two listeners of a Split.
type branch struct {
	addr  net.Addr
	conns chan net.Conn
	once  sync.Once
	done  chan struct{} // closed by Close
}

func newBranch(addr net.Addr) *branch {
	return &branch{addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
}

func (b *branch) Accept() (net.Conn, error) {
	select {
	case c := <-b.conns:
		return c, nil
	case <-b.done:
		return nil, net.ErrClosed
	}
}

func (b *branch) Addr() net.Addr { return b.addr }

// Close ends Accept; connections of this kind are closed from then on. The
// listener below stays open for the other branch.
func (b *branch) Close() error {
	b.once.Do(func() { close(b.done) })
	return nil
}
