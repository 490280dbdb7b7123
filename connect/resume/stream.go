package resume

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Window is the number of bytes on the way, per stream and direction, that the
// reader has not taken: 335 Mbit/s over a round trip of 100 ms. It is also what
// each side may have to remember.
const Window = 4 << 20

const (
	// ackEvery is how much a reader takes before it says so by a frame of its
	// own. Every frame with data says it as well.
	ackEvery = Window / 16
	// ackIdle is the same for a reader that has taken all there was: a key
	// press needs no answer, what is left of a bulk transfer does.
	ackIdle = 4 << 10
)

var (
	// ErrGone ends a stream that the server does not know any more: its process
	// there has ended.
	ErrGone = errors.New("the other side no longer has this session")
	// ErrExpired ends a stream that was without a connection for too long.
	ErrExpired = errors.New("no connection came back in time")
	// ErrFull ends a stream that the server has no room for.
	// ErrOver is for Config.Open, to say that there will be no connection again.
	ErrOver = errors.New("the session may not go on")
	ErrFull = errors.New("the other side has too many sessions")

	errProtocol = errors.New("the other side broke the protocol")
)

// Stream is one end of a stream, a net.Conn that outlives connections. Its
// methods may be called concurrently.
type Stream struct {
	id            ID
	local, remote net.Addr
	ended         chan struct{} // closed when it is over
	closing       func()        // what else Close does; may be nil
	endGone       chan struct{} // closed when an end was written
	endOnce       sync.Once

	mu       sync.Mutex // guards below
	readable sync.Cond
	writable sync.Cond
	work     sync.Cond // for the writer of the connection

	raw     net.Conn // nil between connections
	idle    chan struct{}
	in      ring
	inFin   bool   // nothing comes after in
	told    uint64 // what the other side knows to be taken
	out     ring
	outFin  bool
	finGone bool   // the other side has taken our end
	sent    uint64 // what this connection was given
	most    uint64 // what any connection was given
	closed  bool   // by our user
	hangUp  bool   // an end is to be sent
	endSent bool
	over    bool
	err     error // why it is over; nil: in order

	readBy, writeBy deadline
}

func newStream(id ID, local, remote net.Addr) *Stream {
	s := &Stream{id: id, local: local, remote: remote, ended: make(chan struct{}), endGone: make(chan struct{})}
	s.readable.L, s.writable.L, s.work.L = &s.mu, &s.mu, &s.mu
	s.readBy.cond, s.writeBy.cond = &s.readable, &s.writable
	return s
}

var _ net.Conn = (*Stream)(nil)

// LocalAddr returns the address of the first connection.
func (s *Stream) LocalAddr() net.Addr { return s.local }

// RemoteAddr returns the address of the first connection's other end.
func (s *Stream) RemoteAddr() net.Addr { return s.remote }

// Connected reports whether a connection carries the stream now.
func (s *Stream) Connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.raw != nil
}

// Read waits through breaks for bytes that the other side wrote. After its
// CloseWrite or Close it returns io.EOF; when the stream is lost, the reason.
func (s *Stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.in.len() == 0 {
		switch {
		case s.closed:
			return 0, net.ErrClosed
		case s.inFin:
			return 0, io.EOF
		case s.over:
			return 0, s.reasonLocked()
		case s.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		}
		s.readable.Wait()
	}
	n := s.in.copyFrom(p, s.in.head)
	s.in.drop(s.in.head + uint64(n))
	if s.ackDueLocked() {
		s.work.Signal()
	}
	return n, nil
}

// Write keeps p until the other side has taken it. It waits while Window bytes
// are kept, through breaks.
func (s *Stream) Write(p []byte) (written int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(p) > 0 {
		room := Window - s.out.len()
		switch {
		case s.closed || s.outFin:
			return written, net.ErrClosed
		case s.over:
			return written, s.reasonLocked()
		case s.writeBy.passed():
			return written, os.ErrDeadlineExceeded
		case room == 0:
			s.writable.Wait()
			continue
		}
		n := min(room, len(p))
		s.out.write(p[:n])
		s.work.Signal()
		p, written = p[n:], written+n
	}
	return written, nil
}

// CloseWrite ends the outgoing direction: the other side reads io.EOF after
// what was written.
func (s *Stream) CloseWrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outFin = true
	s.work.Signal()
	return nil
}

// Close ends the stream both ways. It may be called twice. What a server wrote
// still reaches the client whenever that comes back in time; the end of a
// client waits up to a second for the network to take what was written.
func (s *Stream) Close() error {
	s.mu.Lock()
	s.closed, s.outFin = true, true
	s.in.drop(s.in.tail)
	s.wakeLocked()
	s.mu.Unlock()
	if s.closing != nil {
		s.closing()
	}
	return nil
}

// reasonLocked is what Read and Write say of a stream that is over.
func (s *Stream) reasonLocked() error {
	if s.err != nil {
		return s.err
	}
	return net.ErrClosed
}

// finish ends the stream for whoever uses it and for its connection.
func (s *Stream) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finishLocked(err)
}

func (s *Stream) finishLocked(err error) {
	if s.over {
		return
	}
	s.over, s.err = true, err
	s.readBy.stop()
	s.writeBy.stop()
	close(s.ended)
	if s.raw != nil {
		_ = s.raw.Close()
	}
	s.wakeLocked()
}

func (s *Stream) wakeLocked() {
	s.readable.Broadcast()
	s.writable.Broadcast()
	s.work.Broadcast()
}

// receivedLocked counts what has arrived, the end included.
func (s *Stream) receivedLocked() uint64 { return s.in.tail + one(s.inFin) }

// takenLocked counts what our user has consumed, the end included.
func (s *Stream) takenLocked() uint64 { return s.in.head + one(s.inFin && s.in.len() == 0) }

func (s *Stream) ackDueLocked() bool {
	untold := s.takenLocked() - s.told
	return untold >= ackEvery || untold >= ackIdle && s.in.len() == 0 || untold > 0 && s.inFin && s.in.len() == 0
}

// takeLocked notes what the other side's user has consumed.
func (s *Stream) takeLocked(taken uint64) error {
	switch {
	case taken > s.most:
		return errProtocol
	case taken <= s.out.head:
		return nil
	}
	s.finGone = s.finGone || s.outFin && taken == s.out.tail+1
	s.out.drop(min(taken, s.out.tail))
	s.writable.Broadcast()
	return nil
}

func one(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// SetDeadline sets those of Read and Write.
func (s *Stream) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// SetReadDeadline ends reads at t; zero means never.
func (s *Stream) SetReadDeadline(t time.Time) error { return s.setDeadline(&s.readBy, t) }

// SetWriteDeadline ends writes at t; zero means never.
func (s *Stream) SetWriteDeadline(t time.Time) error { return s.setDeadline(&s.writeBy, t) }

func (s *Stream) setDeadline(d *deadline, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return s.reasonLocked()
	}
	d.set(t)
	return nil
}

// deadline wakes those who wait when it passes. The lock of cond guards it.
type deadline struct {
	cond  *sync.Cond
	at    time.Time
	timer *time.Timer
}

func (d *deadline) set(t time.Time) {
	d.stop()
	if d.at = t; !t.IsZero() {
		d.timer = time.AfterFunc(time.Until(t), func() {
			d.cond.L.Lock()
			defer d.cond.L.Unlock()
			d.cond.Broadcast()
		})
	}
	d.cond.Broadcast()
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }
