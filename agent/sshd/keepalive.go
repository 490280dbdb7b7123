//go:build linux

package sshd

import (
	"context"
	"sync/atomic"
	"time"
)

// signsOfLife is how often a silent client is asked before it is given up.
const signsOfLife = 3

// watch closes the connection when the client has been silent for timeout. A
// client that left without a word would otherwise hold its terminals for ever.
func (c *connection) watch(ctx context.Context, timeout time.Duration) {
	interval := timeout / signsOfLife
	if timeout < signsOfLife*time.Second {
		if sleep(ctx, timeout) {
			c.abort("longest time of a connection reached")
		}
		return
	}
	var asking atomic.Bool
	for wait := interval; ; {
		poked, on := c.pause(ctx, wait)
		if !on {
			return
		}
		silent := c.net.silent()
		if silent >= timeout {
			c.abort("the client gives no sign of life")
			return
		}
		if wait = interval - silent; wait <= 0 || poked {
			c.ask(&asking)
			wait = min(interval, timeout-silent)
		}
	}
}

// pause waits for d or until it is asked for a sign of life, and reports which;
// on is false when ctx has ended.
func (c *connection) pause(ctx context.Context, d time.Duration) (poked, on bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return false, true
	case <-c.poke:
		return true, true
	case <-ctx.Done():
		return false, false
	}
}

// ask sends a request that any client answers, be it with a refusal; one at a
// time is under way.
func (c *connection) ask(asking *atomic.Bool) {
	if asking.CompareAndSwap(false, true) {
		c.work.Go(func() {
			defer asking.Store(false)
			_, _, _ = c.ssh.SendRequest("keepalive@openssh.com", true, nil)
		})
	}
}

// sleep reports whether d went by before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
