package coordinator

import (
	"context"
	"time"

	"github.com/google/uuid"
	"tailscale.com/types/key"
)

// KnownKey reports whether a peer has announced a node key, and returns nil or
// ErrUnknownKey. It waits up to Config.KeyWait for an announcement, as a peer
// may reach the relay before its record reaches the coordinator. A key is known
// while its peer is connected and for 15 minutes after it is lost.
func (c *Coordinator) KnownKey(ctx context.Context, k key.NodePublic) error {
	announced, err := c.await(k)
	if err != nil || announced == nil {
		return err
	}
	defer c.doneWaiting()
	timeout := time.NewTimer(c.cfg.KeyWait)
	defer timeout.Stop()
	select {
	case <-announced:
		return c.announced(k)
	case <-timeout.C:
		return ErrUnknownKey
	case <-ctx.Done():
		return ctx.Err()
	}
}

// await returns nil if k is known, else a channel that is closed when it is
// announced or the coordinator closed; doneWaiting must be called then.
func (c *Coordinator) await(k key.NodePublic) (<-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.expire(time.Now())
	switch {
	case c.closed:
		return nil, ErrClosed
	case c.state.owner(k) != uuid.Nil:
		return nil, nil
	case c.waiters >= maxWaiting:
		return nil, ErrUnknownKey
	}
	c.waiters++
	if c.waiting[k] == nil {
		c.waiting[k] = make(chan struct{})
	}
	return c.waiting[k], nil
}

func (c *Coordinator) announced(k key.NodePublic) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.owner(k) == uuid.Nil {
		return ErrClosed
	}
	return nil
}

func (c *Coordinator) doneWaiting() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiters--; c.waiters == 0 {
		clear(c.waiting) // keys that never came
	}
}

// wakeLocked wakes those who wait for the key that was announced.
func (c *Coordinator) wakeLocked(ev Event) {
	k, err := nodeKey(ev.Node.GetKey())
	if ch := c.waiting[k]; err == nil && ch != nil && c.state.owner(k) != uuid.Nil {
		close(ch)
		delete(c.waiting, k)
	}
}
