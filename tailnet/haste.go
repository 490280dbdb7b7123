package tailnet

import (
	"net/netip"
	"sync"
	"time"

	"github.com/tailscale/wireguard-go/device"
)

const (
	// handshakePatience is how long a WireGuard handshake may take before it is
	// begun anew. WireGuard itself waits 5 s, which is long for one lost packet.
	handshakePatience = 300 * time.Millisecond

	// silentSession is how long a session may be one of which nothing came,
	// though something was asked for: both sides may have begun a handshake at
	// once, and one of them ended with keys that the other has not. WireGuard
	// itself waits 15 s.
	silentSession = time.Second

	// answerTime is longer than WireGuard takes for a response to its handshake.
	answerTime = 100 * time.Millisecond
)

// haste decides when a handshake with a peer that does not answer is begun anew.
//
// It must not be while WireGuard takes in the response to the one before, which
// it does in steps: a session comes of it that can send and not receive. And the
// times between get longer, whoever asks, because the response to a handshake
// that was begun anew is worth nothing: on a slow line none would ever come in
// time.
type haste struct {
	// order is held while WireGuard forgets a handshake, which tells us of the
	// end of its session; a response waits for that. Taken before mu.
	order sync.Mutex

	mu          sync.Mutex // guards below
	begun       time.Time  // the last handshake, or when the peer became known
	tries       int        // handshakes begun anew of which nothing came
	answered    time.Time  // when the last response came
	established time.Time  // when the session was; zero if there is none
}

func newHaste(now time.Time) *haste { return &haste{begun: now} }

// response notes that a response has come, before WireGuard gets it.
func (h *haste) response(now time.Time) {
	h.order.Lock()
	defer h.order.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answered = now
}

// session notes that there is a session, or none any more.
func (h *haste) session(now time.Time, established bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !established:
		h.established = time.Time{}
	case h.established.IsZero():
		h.established, h.tries = now, 0 // a response came in time
	}
}

// anew has WireGuard forget the handshake under way, by forget, and reports true
// if it is to be begun anew. heard says that something came through the session.
func (h *haste) anew(now time.Time, heard bool, forget func()) bool {
	h.order.Lock()
	defer h.order.Unlock()
	if !h.due(now, heard) {
		return false
	}
	forget()
	return true
}

// due decides, and counts on what it decides being done.
func (h *haste) due(now time.Time, heard bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case heard,
		now.Sub(h.begun) < handshakePatience<<min(max(h.tries-1, 0), 8),
		now.Sub(h.answered) < answerTime,
		!h.established.IsZero() && now.Sub(h.established) < silentSession:
		return false
	}
	h.begun = now
	h.tries++
	return true
}

// hastenHandshake begins a handshake with a peer anew when nothing comes of the
// one that there is.
func (n *Node) hastenHandshake(addr netip.Addr) {
	p := n.peerByAddr(addr)
	if p == nil {
		return
	}
	wp, ok := n.wireguard.LookupActivePeer(device.NoisePublicKey(p.key.Raw32()))
	if !ok {
		return
	}
	if p.haste.anew(time.Now(), p.inside.Heard(), wp.ExpireCurrentKeypairs) {
		// An error is logged by WireGuard; the next try follows.
		_ = wp.SendHandshakeInitiation(true)
	}
}
