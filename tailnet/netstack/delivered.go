package netstack

import (
	"sync"
	"sync/atomic"
)

// delivered is which messages of a peer WireGuard has delivered lately. It
// learns of a message only when that has come out, authenticated, so nobody
// else can make it take one for delivered.
type delivered struct {
	// latest is the counter after which all messages of the session used last
	// are new, for a look without the lock. It may be behind.
	latest atomic.Pointer[latest]

	mu       sync.Mutex // guards below
	sessions [2]session // the one used last comes first; a new key overlaps with the one before
}

type latest struct {
	index  uint32
	newest atomic.Uint64
}

// session is a session of WireGuard, by the index that its messages carry.
type session struct {
	index  uint32
	newest uint64
	window [windowWords]uint64 // one bit for each counter, in a ring
}

const (
	windowWords = 128
	// windowSize is how much older than the newest one a message may be, for
	// WireGuard as for us (RFC 6479): one word of the ring is being filled.
	windowSize = (windowWords - 1) * 64
)

// add notes messages of which the header and the decrypted packet are in bufs.
func (d *delivered) add(bufs [][]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, b := range bufs {
		d.sessionLocked(sessionOf(b)).add(counterOf(b))
	}
	s := &d.sessions[0]
	l := d.latest.Load()
	if l == nil || l.index != s.index {
		l = &latest{index: s.index}
		d.latest.Store(l)
	}
	l.newest.Store(s.newest)
}

// sessionLocked brings the session to the front; one that is new replaces the
// older of the two.
func (d *delivered) sessionLocked(index uint32) *session {
	if d.sessions[0].index != index {
		d.sessions[0], d.sessions[1] = d.sessions[1], d.sessions[0]
	}
	if d.sessions[0].index != index {
		d.sessions[0] = session{index: index}
	}
	return &d.sessions[0]
}

// has reports whether a message was delivered, or is too old to be.
func (d *delivered) has(index uint32, counter uint64) bool {
	if l := d.latest.Load(); l != nil && l.index == index && counter > l.newest.Load() {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.sessions {
		if s := &d.sessions[i]; s.index == index {
			return s.has(counter)
		}
	}
	return false
}

func (s *session) add(counter uint64) {
	if counter > s.newest {
		s.clear(s.newest/64+1, counter/64)
		s.newest = counter
	} else if s.newest-counter > windowSize {
		return // its word is another's by now
	}
	s.window[counter/64%windowWords] |= 1 << (counter % 64)
}

// clear empties the words that the window moves over.
func (s *session) clear(from, to uint64) {
	if to-from >= windowWords && to >= from {
		s.window = [windowWords]uint64{}
		return
	}
	for w := from; w <= to; w++ {
		s.window[w%windowWords] = 0
	}
}

func (s *session) has(counter uint64) bool {
	switch {
	case counter > s.newest:
		return false
	case s.newest-counter > windowSize:
		return true
	}
	return s.window[counter/64%windowWords]&(1<<(counter%64)) != 0
}
