package netlab

import (
	"slices"
	"testing"
	"time"
)

func newShaper(stream uint64, c Conditions) *shaper {
	s := &shaper{stream: stream}
	s.set(c)
	return s
}

func TestShaperLatencyAndRate(t *testing.T) {
	s := newShaper(0, Conditions{Latency: 25 * time.Millisecond, Rate: 8_000_000}) // 1000 bytes per ms
	for i, want := range []time.Duration{26, 27, 28} {
		due, v := s.admit(0, 1000)
		if v != deliver || due != want*time.Millisecond {
			t.Errorf("admit(0, 1000) #%d = %v, %v; want %vms, deliver", i, due, v, int(want))
		}
	}
	if due, _ := s.admit(time.Second, 1000); due != 1026*time.Millisecond {
		t.Errorf("admit(1s, 1000) on the idle wire = %v, want 1.026s", due)
	}
}

func TestShaperQueueOverflows(t *testing.T) {
	s := newShaper(0, Conditions{Rate: 8_000_000, Queue: 10 * time.Millisecond})
	passed := 0
	for range 100 {
		if _, v := s.admit(0, 1000); v == deliver {
			passed++
		} else if v != overflow {
			t.Fatalf("admit at a full queue = %v, want overflow", v)
		}
	}
	if passed != 11 { // one on the wire, ten milliseconds' worth behind it
		t.Errorf("%d packets passed a queue of 10ms at 1 packet/ms, want 11", passed)
	}
}

func TestShaperBoundsMemory(t *testing.T) {
	s := newShaper(0, Conditions{Latency: time.Hour})
	held := 0
	for range 2 * maxInFlight / 65535 {
		if _, v := s.admit(0, 65535); v == deliver {
			held += 65535
		}
	}
	if held > maxInFlight || held < maxInFlight-65535 {
		t.Errorf("link holds %d bytes, want at most %d and nearly so", held, maxInFlight)
	}
	s.done(65535)
	if _, v := s.admit(0, 65535); v != deliver {
		t.Errorf("admit after done = %v, want deliver", v)
	}
}

func TestShaperLossIsReproducible(t *testing.T) {
	fates := func(stream, seed uint64) (lostAt []int) {
		s := newShaper(stream, Conditions{Loss: 0.2, Seed: seed})
		for i := range 1000 {
			if _, v := s.admit(time.Duration(i), 100); v == lost {
				lostAt = append(lostAt, i)
			}
		}
		return lostAt
	}
	first := fates(1, 7)
	if len(first) < 150 || len(first) > 250 {
		t.Errorf("lost %d of 1000 at p = 0.2", len(first))
	}
	if again := fates(1, 7); !slices.Equal(first, again) {
		t.Errorf("same seed lost %v, then %v", first, again)
	}
	if slices.Equal(first, fates(1, 8)) || slices.Equal(first, fates(2, 7)) {
		t.Error("another seed or link has the same losses")
	}
}

func TestShaperLossPackets(t *testing.T) {
	s := newShaper(0, Conditions{Loss: 1, LossPackets: 5})
	for i := range 10 {
		_, v := s.admit(0, 100)
		if want := i < 5; (v == lost) != want {
			t.Errorf("packet %d lost = %v, want %v", i, v == lost, want)
		}
	}
}

func TestShaperJitterKeepsOrder(t *testing.T) {
	s := newShaper(0, Conditions{Latency: 10 * time.Millisecond, Jitter: 5 * time.Millisecond})
	var last time.Duration
	spread := map[time.Duration]bool{}
	for i := range 1000 {
		now := time.Duration(i) * time.Millisecond
		due, _ := s.admit(now, 100)
		if due < last {
			t.Fatalf("packet %d arrives at %v, before its predecessor at %v", i, due, last)
		}
		if d := due - now; d < 10*time.Millisecond || d > 15*time.Millisecond {
			t.Fatalf("packet %d took %v, want 10ms to 15ms", i, d)
		}
		last = due
		spread[due-now] = true
	}
	if len(spread) < 500 {
		t.Errorf("1000 packets had %d different delays", len(spread))
	}
}

func TestShaperDown(t *testing.T) {
	s := newShaper(0, Conditions{Down: true})
	if _, v := s.admit(0, 100); v != cut {
		t.Errorf("admit while down = %v, want cut", v)
	}
}
