package derp

import (
	"net"
	"testing"
	"time"

	"tailscale.com/types/key"
)

func TestHeldFramesAreBoundedAndExpire(t *testing.T) {
	var c clients
	node, now := key.NewNode().Public(), time.Unix(1e9, 0)
	if err := c.join(node); err != nil {
		t.Fatal(err)
	}
	present := func(at time.Time) (frames int) {
		near, far := net.Pipe()
		defer far.Close()
		nc := newConn(near, new(counters))
		defer nc.Close()
		c.present(node, nc, at)
		for nc.queue.pop() != nil {
			frames++
		}
		c.mu.Lock()
		delete(c.nodes, node)
		c.mu.Unlock()
		return frames
	}
	for range heldPerNode + 5 {
		c.hold(node, packet('a', 100), now)
	}
	if got := present(now.Add(heldFor - 1)); got != heldPerNode {
		t.Errorf("held frames = %d, want %d", got, heldPerNode)
	}
	c.hold(node, packet('a', 100), now)
	if got := present(now.Add(heldFor)); got != 0 {
		t.Errorf("frames held for %v = %d, want none", heldFor, got)
	}
	for range 2 * heldAltogether {
		c.hold(key.NewNode().Public(), packet('a', 100), now)
	}
	if len(c.held) > heldAltogether || len(c.order) > heldAltogether {
		t.Errorf("frames held for %d nodes (%d in order), want at most %d", len(c.held), len(c.order), heldAltogether)
	}
}
