//go:build linux

package e2e

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/berthdev/berth/tailnet/netlab"
)

// clock stands still while its machine does: virtual machines are halted for
// seconds now and then, and what stands still with its machine has not failed.
type clock struct {
	began time.Time
	halts atomic.Int64 // nanoseconds in which the machine stood still
}

// newClock starts a clock that goes until the test ends.
func newClock(t netlab.TB) *clock {
	c := &clock{began: time.Now()}
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { c.watch(stop) })
	t.Cleanup(func() {
		close(stop)
		watching.Wait()
	})
	return c
}

// now is how long the clock has gone.
func (c *clock) now() time.Duration { return time.Since(c.began) - time.Duration(c.halts.Load()) }

// haltedAfter is longer than a busy machine lets a loop wait that only looks at
// the clock.
const haltedAfter = 200 * time.Millisecond

// watch counts the time in which not even this loop came to its turn.
func (c *clock) watch(stop <-chan struct{}) {
	ticks := time.NewTicker(beat)
	defer ticks.Stop()
	for last := time.Now(); ; {
		select {
		case <-ticks.C:
		case <-stop:
			return
		}
		now := time.Now()
		if late := now.Sub(last) - beat; late > haltedAfter {
			c.halts.Add(int64(late))
		}
		last = now
	}
}
