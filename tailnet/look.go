package tailnet

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// How the width of a path is found out.

// probe has the width of p found out unless somebody does that already.
func (n *Node) probe(p *peer) {
	if !p.width.probing.CompareAndSwap(false, true) {
		return
	}
	select {
	case n.probes <- p:
	default: // too many at once; a later packet asks again
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
// packets take no direct path, it stays what it was. It reports whether it may be
// found out later.
func (n *Node) probeWidth(ctx context.Context, p *peer) (again bool) {
	for range widthTries {
		if n.look(ctx, p, p.endpoint.Load()) {
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

// look finds out what the path to the address at carries, and reports whether that
// is known now. No size is tried that is more than the kernel knows the route to
// carry: it would be sent in fragments. What the kernel knows may come of the trial.
func (n *Node) look(ctx context.Context, p *peer, at *netip.AddrPort) bool {
	if at == nil {
		return false
	}
	sizes, known := n.rungs(p, at), p.width.load()
	if known >= wide {
		p.width.begin(time.Now())
	}
	if most := slices.Max(sizes); known > most {
		known = min(most, wide)
		n.settleWidth(p, at, known)
	}
	sizes = known.trials(sizes)
	most := slices.Max(sizes)
	if most == narrow || most == known && known == wide {
		return n.settleWidth(p, at, most)
	}
	found := n.measureWidth(ctx, p, sizes)
	if most := slices.Max(n.rungs(p, at)); found > most {
		n.settleWidth(p, at, min(most, wide))
		return false // fragments were answered, as the kernel knows more by now
	}
	return n.settleWidth(p, at, found)
}

func (n *Node) rungs(p *peer, at *netip.AddrPort) []width {
	return rungs(at.Addr(), n.routeMTU(*at), p.inside.Accepts())
}

// settleWidth notes what was found of the path to the address at, and reports
// whether that is known now: packets may have gone elsewhere meanwhile.
func (n *Node) settleWidth(p *peer, at *netip.AddrPort, found width) bool {
	if found == unknownWidth || p.path.Load() != viaUDP || p.endpoint.Load() != at {
		return false
	}
	before := p.width.load()
	p.setWidth(found)
	if p.endpoint.Load() != at {
		p.setWidth(unknownWidth) // moved did that too, perhaps before us
		return false
	}
	if found == narrow {
		n.log.Info("direct path drops large packets, sending them through the relay", "peer", p.id, "endpoint", at)
	} else if found != before {
		n.log.Debug("largest packet of the direct path changed", "peer", p.id, "endpoint", at, "bytes", found.packet())
	}
	return true
}

// measureWidth sends probes of each of sizes until one of the largest is answered,
// or widthPatience has passed.
func (n *Node) measureWidth(ctx context.Context, p *peer, sizes []width) width {
	ctx, cancel := context.WithTimeout(ctx, widthPatience)
	var pings sync.WaitGroup
	defer pings.Wait()
	defer cancel()
	addr, astray := p.addresses[0].Addr(), p.width.astray.Load()
	answered := make(chan int, len(sizes)*int(widthPatience/probeEvery+1))
	answers := make([]int, len(sizes))
	ask := func() {
		for i, size := range sizes {
			pings.Go(func() {
				if n.stack.PingSized(ctx, addr, size.packet()) == nil {
					answered <- i
				}
			})
		}
	}
	ask()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case i := <-answered:
			answers[i]++
			if i < len(sizes)-1 {
				continue
			}
		case <-tick.C:
			ask()
			continue
		case <-ctx.Done():
		}
		return verdict(sizes, answers, p.width.astray.Load() != astray)
	}
}
