package tailnet

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tailscale/wireguard-go/device"
)

// width is whether the direct path to a peer carries packets of DirectMTU. Some
// do not, and do not say so: a tunnel of a provider on the way drops what is too
// large for it. Small packets and magicsock's pings pass, so that the path looks
// well while every transfer stands still.
//
//	                       pong of a large ping
//	         +----------------------------------------------> wide
//	unknown -+
//	    ^    +----------------------------------------------> narrow
//	    |       widthPatience without one, though small ones are answered
//	    |                                                       |
//	    +------ packets go to another address <-----------------+
//
// While it is unknown, some of what a narrow path would drop goes through the relay
// too, enough for a login; a path that is narrow is for small packets, and the
// relay for the others. Each side finds out about its own direction.
type width int32

const (
	unknownWidth width = iota
	wide
	narrow
)

const (
	// narrowMessage is the largest WireGuard message that every path carries: what
	// QUIC relies on (RFC 9000 §14).
	narrowMessage = 1200

	// probeMessage is the size of the message of a large ping, which no message
	// of another packet for a direct path has: WireGuard pads to 16 bytes.
	probeMessage = directMessage + 16

	// widthPatience is how long a large ping may be unanswered, and probeEvery
	// how often one is sent, with a small one behind it: some are lost on any
	// network. enoughSmall is how many of those must be answered meanwhile.
	widthPatience = 1250 * time.Millisecond
	probeEvery    = 250 * time.Millisecond
	enoughSmall   = 3

	// maxCopies is how many large packets go both ways while the width is unknown:
	// their receiver drops one of the two, and holds back others while it has many
	// such in a row (netstack's gate).
	maxCopies = 48

	// widthTries is how often it is tried in a row to find out a width, and
	// widthPause the pause after one that came to nothing.
	widthTries = 10
	widthPause = time.Second
)

// widthState is what is known of the present direct path, and whether somebody
// finds it out.
type widthState struct {
	now     atomic.Int32 // a width
	probing atomic.Bool
	copies  atomic.Int32  // large packets that went both ways
	astray  atomic.Uint64 // large pings that went through a relay, and tell nothing
}

func (w *widthState) load() width { return width(w.now.Load()) }

// relayOnly reports whether a message must not go directly.
func (w width) relayOnly(size int) bool {
	return size != probeMessage && (size > directMessage || w == narrow && size > narrowMessage)
}

// relayToo reports whether a message that goes directly may not arrive so.
func (w width) relayToo(size int) bool {
	return w != wide && size != probeMessage && size > narrowMessage
}

// moved is called when packets go to another address than before. It does not
// block.
func (n *Node) moved(p *peer) {
	p.width.now.Store(int32(unknownWidth))
	p.width.copies.Store(0)
	n.probe(p)
}

// probe has the width of p found out unless somebody does that already.
func (n *Node) probe(p *peer) {
	if !p.width.probing.CompareAndSwap(false, true) {
		return
	}
	select {
	case n.probes <- p:
	default: // too many at once; a later packet to another address asks again
		p.width.probing.Store(false)
	}
}

// probeWidths finds out the widths that are asked for until ctx ends.
func (n *Node) probeWidths(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		select {
		case p := <-n.probes:
			running.Go(func() {
				again := n.probeWidth(ctx, p)
				p.width.probing.Store(false)
				if again && p.width.load() == unknownWidth && p.path.Load() == viaUDP {
					n.probe(p) // who asked meanwhile was not heard
				}
			})
		case <-ctx.Done():
			return
		}
	}
}

// probeWidth finds out the width of the direct path to p. Until it has, or while
// packets take no direct path, it stays unknown. It reports whether it may be
// found out later.
func (n *Node) probeWidth(ctx context.Context, p *peer) (again bool) {
	for range widthTries {
		at := p.endpoint.Load()
		if n.settleWidth(p, at, n.measureWidth(ctx, p)) {
			return true
		}
		select {
		case <-time.After(widthPause):
		case <-ctx.Done():
			return false
		}
		switch {
		case n.peer(p.id) == nil:
			return false // it has left
		case p.path.Load() != viaUDP:
			return true // asked for again when it is
		}
	}
	return false
}

// settleWidth notes what was found of the path to the address at, and reports
// whether that is known now: packets may have gone elsewhere meanwhile.
func (n *Node) settleWidth(p *peer, at *netip.AddrPort, found width) bool {
	if found == unknownWidth || p.path.Load() != viaUDP || p.endpoint.Load() != at {
		return false
	}
	p.width.now.Store(int32(found))
	if p.endpoint.Load() != at {
		p.width.now.Store(int32(unknownWidth)) // moved did that too, perhaps before us
		return false
	}
	if found == narrow {
		n.log.Info("direct path drops large packets, sending them through the relay", "peer", p.id, "endpoint", at)
	}
	return true
}

// measureWidth sends large and small pings until a large one is answered, or
// widthPatience has passed.
func (n *Node) measureWidth(ctx context.Context, p *peer) width {
	ctx, cancel := context.WithTimeout(ctx, widthPatience)
	var pings sync.WaitGroup
	defer pings.Wait()
	defer cancel()
	addr, astray := p.addresses[0].Addr(), p.width.astray.Load()
	large := make(chan struct{}, 1)
	var small atomic.Int32
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		pings.Go(func() {
			if n.stack.PingSized(ctx, addr, probeInner) == nil {
				notify(large)
			}
		})
		pings.Go(func() {
			if _, err := n.stack.PingTSMP(ctx, addr); err == nil {
				small.Add(1)
			}
		})
		select {
		case <-large:
			return verdict(true, 0, p.width.astray.Load() != astray)
		case <-tick.C:
		case <-ctx.Done():
			return verdict(false, int(small.Load()), p.width.astray.Load() != astray)
		}
	}
}

// verdict is what the answers to pings say. A path on which nothing arrives is
// not for us to mend.
func verdict(large bool, small int, astray bool) width {
	switch {
	case astray:
		return unknownWidth
	case large:
		return wide
	case small >= enoughSmall:
		return narrow
	}
	return unknownWidth
}

// probeInner is the size of a large ping in the tunnel.
const probeInner = probeMessage - device.MessageTransportSize

// noteProbes notes large pings among bufs, which took a path.
func (p *peer) noteProbes(bufs [][]byte, offset int, took path) {
	if !took.viaRelay() {
		return
	}
	for _, buf := range bufs {
		if len(buf)-offset == probeMessage {
			p.width.astray.Add(1)
		}
	}
}
