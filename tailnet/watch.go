package tailnet

import (
	"context"
	"time"

	"tailscale.com/ipn/ipnstate"
	"tailscale.com/net/netmon"
	"tailscale.com/util/eventbus"
)

const (
	// watchEvery is how often clocks are compared and the relay is thought of.
	watchEvery = 500 * time.Millisecond

	// jump is the difference between wall and monotonic clock that means that
	// the machine slept.
	jump = 5 * time.Second

	// keepaliveEvery is how often peers with an open connection are sent
	// something, to keep the mappings of NATs: the least life of a UDP mapping
	// in the field is 30 s.
	keepaliveEvery = 25 * time.Second
)

// watch looks after the node's ways to the world until ctx ends.
func (n *Node) watch(ctx context.Context) {
	client := n.events.Client("tailnet.Node")
	defer client.Close()
	changes := eventbus.Subscribe[netmon.ChangeDelta](client)
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	keepalive := time.NewTicker(keepaliveEvery)
	defer keepalive.Stop()
	begun := time.Now()
	clock := clock{wall: begun.Round(0)}
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.relays.changed:
			n.relays.renew(ctx)
		case <-n.relays.echoes:
			n.relays.live.heard(time.Now())
		case delta := <-changes.Events():
			if delta.RebindLikelyRequired {
				n.log.Info("network changed, rebinding")
				n.Rebind()
			}
		case <-keepalive.C:
			n.keepalive()
		case now := <-tick.C:
			if clock.jumped(now, now.Sub(begun)) {
				n.log.Info("clock jumped, rebinding")
				n.Rebind()
			}
			n.relays.check(ctx)
			n.relays.followMeasurement(ctx)
		case <-n.rebinds:
			n.rebind()
		case p := <-n.oneWay:
			n.magic.Ping(p.view, &ipnstate.PingResult{}, 0, func(*ipnstate.PingResult) {})
		}
	}
}

// Rebind makes new sockets, asks STUN for their addresses and redials the
// relay. The node calls it by itself when it notices a change of the network or
// that the machine slept. It does not wait.
func (n *Node) Rebind() { notify(n.rebinds) }

func (n *Node) rebind() {
	n.magic.Rebind()
	n.magic.ReSTUN("rebind")
	n.relays.redial()
}

// pingBackEvery is how often a peer that reaches us directly is asked whether we
// reach it so.
const pingBackEvery = 500 * time.Millisecond

// pingBack has p pinged if its packets come directly while ours still go
// through the relay: magicsock itself looks for a better path every 5 s at most,
// and until then the end of the relay would be the end of our side. It does not
// block.
func (n *Node) pingBack(p *peer) {
	if p.path.Load() != viaRelay {
		return
	}
	now, last := time.Now().UnixNano(), p.pingedBack.Load()
	if now-last < int64(pingBackEvery) || !p.pingedBack.CompareAndSwap(last, now) {
		return
	}
	select {
	case n.oneWay <- p:
	default: // others are; the next packet asks again
	}
}

// keepalive sends something to each peer with an open connection. It also keeps
// magicsock looking for a direct path, which it stops 45 s after a small packet.
func (n *Node) keepalive() {
	for _, a := range n.stack.Talking() {
		n.stack.SendTSMP(a)
	}
}

// clock compares the wall clock with the monotonic one, which stands still
// while the machine sleeps.
type clock struct {
	wall time.Time     // at the last call
	mono time.Duration // since any moment
}

// jumped reports whether the clocks have run apart since the last call.
func (c *clock) jumped(wall time.Time, mono time.Duration) bool {
	apart := wall.Round(0).Sub(c.wall) - (mono - c.mono)
	c.wall, c.mono = wall.Round(0), mono
	return apart > jump || apart < -jump
}
