package tailnet

import (
	"sync/atomic"
	"time"
)

const (
	// deafAfter is how long a peer may leave packets on a direct path
	// unanswered before they are sent through its relay too. magicsock itself
	// trusts a direct path for 6.5 s after the last answer.
	deafAfter = time.Second

	// deafUntil ends that: by then magicsock has decided about the path.
	deafUntil = 9 * time.Second
)

// deafness notices that a direct path has died, from the packets on it.
//
// Packets from another address than the one we send to say that the peer has a
// path to us, not that we have one to it: it may have moved. But some paths are
// like that all the time, where hosts have several addresses; so they count
// until something came from the address itself.
type deafness struct {
	// since is when the first packet was sent that nothing has followed from the
	// peer, in nanoseconds of the Unix epoch; 0 if all was followed.
	since atomic.Int64

	mutual atomic.Bool // packets have come from the address that we send to
}

// heard notes a packet that came directly, from the address that we send to or
// from another one.
func (d *deafness) heard(same bool) {
	switch {
	case d.mutual.Load() && !same:
		return
	case same && !d.mutual.Load():
		d.mutual.Store(true)
	}
	if d.since.Load() != 0 {
		d.since.Store(0)
	}
}

// moved notes that packets go to another address from now on.
func (d *deafness) moved() {
	d.mutual.Store(false)
	d.since.Store(0)
}

// isDeaf notes a packet that was sent directly and reports whether the peer
// seems not to hear.
func (d *deafness) isDeaf(now time.Time) bool {
	if d.since.CompareAndSwap(0, now.UnixNano()) {
		return false
	}
	silent := time.Duration(now.UnixNano() - d.since.Load())
	return silent >= deafAfter && silent < deafUntil
}
