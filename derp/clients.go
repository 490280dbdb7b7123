package derp

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"tailscale.com/types/key"
)

// The bounds of what is kept for nodes that are not here yet: handshakes and
// pings, which are small; all else is sent again soon by whoever sent it.
const (
	heldFor        = 3 * time.Second // WireGuard repeats a handshake after 5 s
	heldBytes      = 512             // of one packet
	heldPerNode    = 8
	heldAltogether = 1024
)

// clients knows which connection packets for a node go to.
//
// What is sent to a node that is not here yet is held for a moment if it is
// small. Two peers that begin at the same time, or return after a restart of
// the relay, learn of each other before both are connected; one lost handshake
// would cost them 5 s.
type clients struct {
	mu    sync.RWMutex
	conns map[key.NodePublic]int     // admitted, present or not
	nodes map[key.NodePublic][]*conn // present; the newest last
	held  map[key.NodePublic][]heldFrame
	order []key.NodePublic // of held, oldest first; one entry for each frame
}

type heldFrame struct {
	frame []byte
	at    time.Time
}

// join counts a connection of a node; leave takes it back.
func (c *clients) join(node key.NodePublic) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conns[node] >= maxConnsPerKey {
		return fmt.Errorf("%w: too many connections with one key", errRefused)
	}
	if c.conns == nil { // nobody sends anything before the first has joined
		c.conns, c.nodes, c.held = map[key.NodePublic]int{}, map[key.NodePublic][]*conn{}, map[key.NodePublic][]heldFrame{}
	}
	c.conns[node]++
	return nil
}

// present makes nc the connection to which packets for node go, until it leaves
// or a newer one comes, and hands it what was held.
func (c *clients) present(node key.NodePublic, nc *conn, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[node] = append(c.nodes[node], nc)
	for _, h := range c.held[node] {
		if now.Sub(h.at) < heldFor {
			_ = nc.put(h.frame) // a connection that has ended already needs none
		}
	}
	delete(c.held, node)
}

func (c *clients) leave(node key.NodePublic, nc *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conns[node]--; c.conns[node] == 0 {
		delete(c.conns, node)
	}
	rest := slices.DeleteFunc(c.nodes[node], func(o *conn) bool { return o == nc })
	if c.nodes[node] = rest; len(rest) == 0 {
		delete(c.nodes, node)
	}
}

// of returns the connection to which packets for node go, or nil.
func (c *clients) of(node key.NodePublic) *conn {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if conns := c.nodes[node]; len(conns) > 0 {
		return conns[len(conns)-1]
	}
	return nil
}

// hold keeps a frame for a node that is not here. When too much is held the
// oldest goes.
func (c *clients) hold(node key.NodePublic, frame []byte, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conns := c.nodes[node]; len(conns) > 0 { // it has just come
		_ = conns[len(conns)-1].put(frame)
		return
	}
	frames := append(c.held[node], heldFrame{frame, now})
	c.held[node] = frames[max(0, len(frames)-heldPerNode):]
	if c.order = append(c.order, node); len(c.order) > heldAltogether {
		c.dropOldest()
	}
}

func (c *clients) dropOldest() {
	node := c.order[0]
	c.order = c.order[1:]
	if frames := c.held[node]; len(frames) > 1 {
		c.held[node] = frames[1:]
		return
	}
	delete(c.held, node)
}
