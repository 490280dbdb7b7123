package netstack

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestGateCountsWhatCameOutInOrder(t *testing.T) {
	g := newGate(10)
	var f flow
	if got := g.enter(&f, 4); got != 1 {
		t.Fatalf("enter(4) = %d, want 1", got)
	}
	g.enter(&f, 2)
	for _, tt := range []struct {
		number uint64
		inside int
		why    string
	}{
		{3, 3, "1 to 3 are out"},
		{2, 3, "2 is out already"},
		{99, 3, "99 was never given"},
		{6, 0, "4 and 5 were dropped"},
	} {
		g.leave(&f, tt.number)
		if got := g.count(); got != tt.inside {
			t.Errorf("after leave(%d) count() = %d, want %d: %s", tt.number, got, tt.inside, tt.why)
		}
	}
}

func TestGateHoldsBackAtItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(3)
		var a, b flow
		g.enter(&a, 2)
		g.enter(&b, 1)
		entered := make(chan struct{})
		go func() { g.enter(&b, 1); close(entered) }()
		synctest.Wait()
		select {
		case <-entered:
			t.Fatal("enter at the limit returned, want it to wait")
		default:
		}
		g.leave(&a, 1)
		synctest.Wait()
		select {
		case <-entered:
		default:
			t.Fatal("enter after leave waits, want it to return")
		}
		if got := g.reopenedCount(); got != 0 {
			t.Errorf("reopenedCount() = %d, want 0", got)
		}
	})
}

func TestGateForgetsCountsThatNeverMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2)
		var lost, live flow
		g.enter(&lost, 2)
		start := time.Now()
		g.enter(&live, 1)
		if waited := time.Since(start); waited != stuckAfter {
			t.Errorf("enter waited %v, want %v", waited, stuckAfter)
		}
		g.leave(&lost, 2) // comes out after all: counted no more
		if got := g.count(); got != 1 {
			t.Errorf("count() = %d, want 1", got)
		}
		if got := g.reopenedCount(); got != 1 {
			t.Errorf("reopenedCount() = %d, want 1", got)
		}
	})
}

func TestGateOfAFlowThatIsGone(t *testing.T) {
	g := newGate(4)
	var f flow
	g.enter(&f, 4)
	g.forget(&f, true)
	if got := g.count(); got != 0 {
		t.Errorf("count() after forget = %d, want 0", got)
	}
	if got := g.enter(&f, 1); got != 0 || g.count() != 0 {
		t.Errorf("enter = %d with count %d, want 0 and 0: the flow is gone", got, g.count())
	}
}

func TestGateCloseFreesWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1)
		var f flow
		g.enter(&f, 1)
		go g.enter(&f, 1)
		synctest.Wait()
		g.close()
		synctest.Wait()
	})
}
