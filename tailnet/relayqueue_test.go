package tailnet

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tailscale.com/util/usermetric"
)

func TestRelayQueueWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left atomic.Int64
		q := newRelayQueue(left.Load)
		if got := q.room(); got != relayDepth {
			t.Errorf("room() of an empty queue = %d, want %d", got, relayDepth)
		}
		q.add(relayDepth)
		got := make(chan int, 1)
		go func() { got <- q.room() }()
		<-time.After(relayStuck / 2)
		select {
		case n := <-got:
			t.Fatalf("room() of a full queue = %d, want it to wait", n)
		default:
		}
		left.Store(3)
		if n := <-got; n != 3 {
			t.Errorf("room() = %d after 3 packets left, want 3", n)
		}
		if q.lost() != 0 {
			t.Errorf("lost() = %d, want 0", q.lost())
		}
	})
}

func TestRelayQueueWritesOffWhatStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newRelayQueue(func() int64 { return 0 })
		q.add(relayDepth)
		start := time.Now()
		if got := q.room(); got != relayDepth || time.Since(start) < relayStuck {
			t.Errorf("room() of a queue that stands still = %d after %v, want %d after %v", got, time.Since(start), relayDepth, relayStuck)
		}
		if q.lost() != relayDepth {
			t.Errorf("lost() = %d, want %d", q.lost(), relayDepth)
		}
	})
}

func TestMetricsOfUpstream(t *testing.T) {
	r := new(usermetric.Registry)
	if got := relayed(r); got != 0 {
		t.Errorf("relayed(nothing) = %d, want 0", got)
	}
	type label struct{ Path string }
	m := usermetric.NewMultiLabelMapWithRegistry[label](r, "tailscaled_outbound_packets_total", "counter", "help")
	m.Add(label{"derp"}, 41)
	m.Add(label{"direct_ipv4"}, 7)
	if got := relayed(r); got != 41 {
		t.Errorf("relayed = %d, want 41", got)
	}
}
