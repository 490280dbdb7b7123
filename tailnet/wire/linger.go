package wire

// lingering is the state of a call that may outlive its handler.
type lingering struct {
	next     func() bool // of Linger
	lingers  bool
	returned bool // the handler
	working  bool // a goroutine calls next
	woken    bool // next is to be called for something else than a message
}

// Linger lets the call outlive its handler, which calls it once and then
// returns nil: a call that only waits needs no goroutine. From the return on,
// next is called for each message, when no more will come, when the call has
// ended, and after Wake; never twice at the same time. For the first three
// MsgRecv does not block. What else than messages it is called for can melt
// together. The call ends when next returns false; unless Close was called, the
// caller is told that the answer is complete. Serve waits for it.
//
// Messages may be sent meanwhile by others, as from the handler.
func (c *Call) Linger(next func() (more bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next, c.lingers = next, true
}

// Wake has next of Linger called. It does not block, and after the end of the
// call it does nothing.
func (c *Call) Wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wakeLocked()
}

func (c *Call) wakeLocked() {
	c.woken = true
	c.workLocked()
}

// workLocked has a goroutine call next, or the handler look again, if there is
// something to do.
func (c *Call) workLocked() {
	c.changed.Broadcast()
	if c.lingers && c.returned && !c.working && (c.woken || len(c.queue) > 0) {
		c.working = true
		go c.work()
	}
}

func (c *Call) work() {
	for c.pending() {
		if !c.next() {
			c.finish(nil) // working stays set: there is no next one
			return
		}
	}
}

// pending reports whether there is something to call next for. Messages come
// before what was said after them.
func (c *Call) pending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) > 0 {
		return true
	}
	c.working, c.woken = c.woken, false
	return c.working
}
