//go:build linux

package sshd

import (
	"context"
	"sync"
	"time"
)

// takeovers knows who holds which remote forward, so that whoever comes back after a
// crash need not wait for the connection they left: it may last for days, as a
// laptop may sleep. The newest client has the forward, unless the older answers.
type takeovers struct {
	mu      sync.Mutex
	holders map[listenKey]*connection
}

// place is where a forward listens, whatever its client calls it.
func (k listenKey) place() listenKey {
	if k.port != 0 {
		k.host = ""
	}
	return k
}

func (t *takeovers) hold(at listenKey, c *connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holders == nil {
		t.holders = map[listenKey]*connection{}
	}
	t.holders[at] = c
}

func (t *takeovers) release(at listenKey, c *connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holders[at] == c {
		delete(t.holders, at)
	}
}

func (t *takeovers) holder(at listenKey) *connection {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.holders[at]
}

// takeOver ends the remote forward of another client at a place if that client gives
// no sign of life, and reports whether it did. It blocks for up to lifePatience.
func (c *connection) takeOver(ctx context.Context, at listenKey) bool {
	holder := c.srv.takeovers.holder(at)
	if holder == nil || holder == c || holder.alive(ctx) || ctx.Err() != nil {
		return false
	}
	c.srv.log.InfoContext(ctx, "remote forward taken from a client that is away", "peer", holder.ssh.RemoteAddr(), "port", at.port, "socket", at.host)
	return holder.drop(at)
}

const (
	// lifePatience is how long a client may take for a sign of life: a few round
	// trips of any network, and little enough to wait for at the start of a session.
	lifePatience = 3 * time.Second
	lifeLook     = 20 * time.Millisecond // between two looks for one
)

// alive asks the client for a sign of life and waits for one, unless it owes one: a
// range of ports is asked for one by one.
func (c *connection) alive(ctx context.Context) bool {
	if since := c.owes.Load(); since != nil && c.net.silent() > time.Since(*since) {
		return false
	}
	began := time.Now()
	select {
	case c.poke <- struct{}{}:
	default: // it is asked already
	}
	for time.Since(began) < lifePatience && sleep(ctx, lifeLook) {
		if c.net.silent() < time.Since(began) {
			return true
		}
	}
	if ctx.Err() == nil {
		c.owes.Store(&began)
	}
	return false
}

// drop ends the forward at a place.
func (c *connection) drop(at listenKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, lns := range c.listeners {
		if key.place() == at {
			delete(c.listeners, key)
			c.srv.takeovers.release(at, c)
			return lns.Close() == nil
		}
	}
	return false
}
