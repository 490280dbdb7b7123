//go:build linux

package pty

import (
	"net"

	"github.com/berthdev/berth/agent/pty/screen"
)

// viewer is one connection that looks at a terminal. terminal.mu guards what
// is not a connection or a channel.
type viewer struct {
	conn   net.Conn
	wake   chan struct{} // holds one token while there is something to do
	closed chan struct{} // closed when nothing is written to conn any more

	width, height int
	queue         []byte // output that is to be written
	show          shown
}

// shown says what a viewer must be shown before its queue makes sense.
type shown int

const (
	showQueue shown = iota // nothing: its terminal is up to date but for the queue
	showFresh              // the screen, on a terminal that has just been opened
	showAnew               // the screen, on one that shows something else
)

func newViewer(conn net.Conn, init Init) *viewer {
	v := &viewer{conn: conn, wake: make(chan struct{}, 1), closed: make(chan struct{})}
	v.width, v.height = sizeOf(init)
	return v
}

func (v *viewer) wakeUp() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// answerBacklog is how many bytes may be before a question to a viewer. With
// more, its answer would come late, or never when the queue overflows.
const answerBacklog = 64 << 10

// behind reports whether v is no one to ask; terminal.mu is held.
func (v *viewer) behind() bool {
	return v.show != showQueue || len(v.queue) > answerBacklog || v.away()
}

// away reports whether v's connection is one that outlives breaks, in a break.
func (v *viewer) away() bool {
	c, lasts := v.conn.(interface{ Connected() bool })
	return lasts && !c.Connected()
}

// pushLocked queues output for v. If that is too much, v drops its queue and is
// shown the screen once it takes bytes again.
func (t *terminal) pushLocked(v *viewer, output []byte) {
	switch {
	case v.show != showQueue:
	case len(v.queue)+len(output) > t.owner.cfg.Queue:
		t.owner.counters.resynced.Add(1)
		t.redrawLocked(v)
	default:
		v.queue = append(v.queue, output...)
	}
	v.wakeUp()
}

// redrawLocked lets v be shown the screen anew.
func (t *terminal) redrawLocked(v *viewer) {
	v.queue = nil
	if v.show == showQueue {
		v.show = showAnew
	}
	v.wakeUp()
}

// take returns what v is to be shown next, and whether nothing will come after
// it. If it is not empty, spare belongs to v.
func (t *terminal) take(v *viewer, spare []byte) (output []byte, last bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch v.show {
	case showFresh:
		output = t.screen.Snapshot()
	case showAnew:
		output = append([]byte(screen.Reset), t.screen.Snapshot()...)
	case showQueue:
		if len(v.queue) > 0 {
			output, v.queue = v.queue, spare[:0]
		}
	}
	v.show = showQueue
	return output, t.done
}
