package tailnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"tailscale.com/ipn/ipnstate"
)

// PingResult is the answer to a ping.
type PingResult struct {
	Latency    time.Duration
	Direct     bool
	Endpoint   netip.AddrPort // of the peer, if direct
	Region     int            // of the relay, if not direct
	RegionName string         // its code
}

// Ping sends a disco ping to the peer with the address addr by the best path
// known, and waits for the first answer until ctx ends. It also makes magicsock
// look for a better path.
func (n *Node) Ping(ctx context.Context, addr netip.Addr) (PingResult, error) {
	p := n.peerByAddr(addr)
	if p == nil {
		return PingResult{}, fmt.Errorf("ping %v: unknown peer", addr)
	}
	answer := make(chan *ipnstate.PingResult, 1)
	n.magic.Ping(p.view, &ipnstate.PingResult{}, 0, func(r *ipnstate.PingResult) { answer <- r })
	select {
	case <-ctx.Done():
		return PingResult{}, fmt.Errorf("ping %v: %w", addr, ctx.Err())
	case r := <-answer:
		if r.Err != "" {
			return PingResult{}, fmt.Errorf("ping %v: %w", addr, errors.New(r.Err))
		}
		out := PingResult{Latency: time.Duration(r.LatencySeconds * float64(time.Second)), Region: r.DERPRegionID, RegionName: r.DERPRegionCode}
		if e, err := netip.ParseAddrPort(r.Endpoint); err == nil {
			out.Direct, out.Endpoint = true, e
		}
		return out, nil
	}
}

const (
	// firstWait and maxWait bound the time between the pings of
	// AwaitReachable, which doubles.
	firstWait = 50 * time.Millisecond
	maxWait   = 30 * time.Second
)

// AwaitReachable waits until the peer with the address addr answers a ping
// through the tunnel. Several pings are under way at once, so that a lost one
// costs little. The peer need not be known yet.
func (n *Node) AwaitReachable(ctx context.Context, addr netip.Addr) error {
	var pings sync.WaitGroup
	defer pings.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reached := make(chan struct{}, 1)
	begun := time.Now()
	for wait := firstWait; ; wait = min(2*wait, maxWait) {
		known := n.peerNews()
		pings.Go(func() {
			if _, err := n.stack.PingTSMP(ctx, addr); err == nil {
				notify(reached)
			}
		})
		if time.Since(begun) > handshakePatience {
			n.hastenHandshake(addr)
		}
		next := time.NewTimer(wait)
		select {
		case <-reached:
			next.Stop()
			return nil
		case <-ctx.Done():
			next.Stop()
			return fmt.Errorf("reach %v: %w", addr, ctx.Err())
		case <-n.done:
			next.Stop()
			return fmt.Errorf("reach %v: %w", addr, net.ErrClosed)
		case <-known: // perhaps by its record: try again at once
			next.Stop()
			wait = firstWait / 2
		case <-next.C:
		}
	}
}
