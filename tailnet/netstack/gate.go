package netstack

import (
	"sync"
	"time"
)

// stuckAfter is how long a full gate may stay without any movement before its
// count is taken for wrong: longer than a send may wait for its relay, and than
// a starved processor takes for a batch.
const stuckAfter = time.Second

// A gate bounds the packets inside WireGuard in one direction.
//
// WireGuard drops packets without telling: for want of a session, as replays,
// for a bad source. So packets are not counted one by one. Each carries the next
// number of its flow (its peer's packets in one direction); WireGuard keeps
// these in order, so when one comes out, all before it are out or dropped.
// What is dropped after the last one that came out stays counted until the
// flow's next packet comes out or the flow is forgotten. As the last guard,
// a gate that is full and sees no movement for stuckAfter forgets all its
// counts: the cost of an error is a pause, never a stop.
type gate struct {
	limit int

	mu       sync.Mutex
	moved    sync.Cond
	inside   int    // sum over flows of next-done
	era      uint64 // raised when all counts are forgotten
	moves    uint64
	reopened uint64
	closed   bool
}

// flow is the numbering of one peer's packets in one direction. Guarded by the
// gate's mu.
type flow struct {
	next, done uint64
	era        uint64
	gone       bool // its packets are not counted any more
}

func newGate(limit int) *gate {
	g := &gate{limit: limit}
	g.moved.L = &g.mu
	return g
}

// enter waits for room, counts n packets of f and returns the number of the
// first, or 0 if they are not counted. It overshoots the limit by at most n-1.
func (g *gate) enter(f *flow, n int) uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.awaitLocked()
	return g.countLocked(f, n)
}

// await waits for room.
func (g *gate) await() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.awaitLocked()
}

// add is enter without the wait.
func (g *gate) add(f *flow, n int) uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.countLocked(f, n)
}

func (g *gate) awaitLocked() {
	for g.inside >= g.limit && !g.closed {
		g.waitLocked()
	}
}

func (g *gate) countLocked(f *flow, n int) uint64 {
	g.renewLocked(f)
	if f.gone {
		return 0
	}
	first := f.next + 1
	f.next += uint64(n)
	g.inside += n
	return first
}

// waitLocked waits for a movement; without one for stuckAfter it forgets all.
func (g *gate) waitLocked() {
	seen := g.moves
	t := time.AfterFunc(stuckAfter, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.moves == seen {
			g.era++
			g.moves++
			g.inside = 0
			g.reopened++
			g.moved.Broadcast()
		}
	})
	defer t.Stop()
	g.moved.Wait()
}

// renewLocked drops the counts of f that were forgotten.
func (g *gate) renewLocked(f *flow) {
	if f.era != g.era {
		f.era = g.era
		f.done = f.next
	}
}

// leave notes that packet number of f came out. Numbers that f did not give are
// ignored.
func (g *gate) leave(f *flow, number uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.renewLocked(f)
	if number <= f.done || number > f.next {
		return
	}
	g.inside -= int(number - f.done)
	f.done = number
	g.moves++
	g.moved.Broadcast()
}

// forget takes all packets of f for dropped; those of a flow that is gone are
// not counted again.
func (g *gate) forget(f *flow, gone bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.renewLocked(f)
	f.gone = gone
	if f.done == f.next {
		return
	}
	g.inside -= int(f.next - f.done)
	f.done = f.next
	g.moves++
	g.moved.Broadcast()
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.moved.Broadcast()
}

func (g *gate) reopenedCount() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.reopened
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside
}
