package tailnet

import (
	"sync/atomic"
	"testing"
	"time"
)

// during runs a bulk transfer, begins change after the first tenth and returns
// the longest stall of the transfer. The transfer ends no sooner than change:
// it is repeated until then.
func during(t *testing.T, p *testPair, direction byte, change func()) time.Duration {
	t.Helper()
	const size = 32 << 20
	done := make(chan struct{})
	var begun atomic.Bool
	var worst time.Duration
	for running := true; running; {
		stall, err := bulk(p.dial(t, 7), direction, size, func(moved int64) {
			if moved > size/10 && begun.CompareAndSwap(false, true) {
				go func() { defer close(done); change() }()
			}
		})
		if err != nil {
			t.Fatalf("bulk %c during the change = %v, want nil", direction, err)
		}
		worst = max(worst, stall)
		select {
		case <-done:
			running = false
		default:
		}
	}
	return worst
}

func TestPathChangesUnderLoad(t *testing.T) {
	for _, direction := range []byte("ud") {
		t.Run(string(direction), func(t *testing.T) {
			udp := new(blockable)
			udp.blocked.Store(true)
			p := startPair(t, startRelay(t), func(cfg *Config) { cfg.PacketListener = udp })
			serve(t, p.b, 7, bulkServer)
			addrA := p.a.cfg.Addresses[0].Addr()
			awaitPath(t, p.a, p.addrB, false)
			awaitPath(t, p.b, addrA, false)

			stall := during(t, p, direction, func() {
				udp.blocked.Store(false)
				awaitPath(t, p.a, p.addrB, true)
				awaitPath(t, p.b, addrA, true)
			})
			t.Logf("relay to direct: longest stall %v", stall)
			// What the sockets to the relay hold must be overtaken: a few round
			// trips of a full relay.
			if stall > slow*3*time.Second {
				t.Errorf("longest stall from relay to direct = %v, want at most 3s", stall)
			}

			stall = during(t, p, direction, func() {
				udp.blocked.Store(true)
				awaitPath(t, p.a, p.addrB, false)
				awaitPath(t, p.b, addrA, false)
			})
			t.Logf("direct to relay: longest stall %v", stall)
			if stall > slow*3*time.Second {
				t.Errorf("longest stall from direct to relay = %v, want at most 3s", stall)
			}
			t.Logf("a: %+v, b: %+v", p.a.Counters(), p.b.Counters())
			if got := p.a.Counters().GateReopened + p.b.Counters().GateReopened; got != 0 {
				t.Errorf("GateReopened = %d, want 0", got)
			}
		})
	}
}

func TestRelayRestart(t *testing.T) {
	r := startRelay(t)
	p := startPair(t, r, func(cfg *Config) { cfg.BlockDirect = true })
	serve(t, p.b, 7, bulkServer)
	awaitPath(t, p.a, p.addrB, false)
	stall := during(t, p, 'd', func() {
		r.stop()
		r.start()
		awaitPath(t, p.a, p.addrB, false)
	})
	t.Logf("longest stall %v", stall)
	if stall > slow*3*time.Second {
		t.Errorf("longest stall over a restart of the relay = %v, want at most 3s", stall)
	}
}

func TestRebindInTheMiddle(t *testing.T) {
	p := startPair(t, startRelay(t), nil)
	serve(t, p.b, 7, bulkServer)
	awaitPath(t, p.a, p.addrB, true)
	stall := during(t, p, 'u', func() {
		p.a.Rebind()
		p.b.Rebind()
		awaitPath(t, p.a, p.addrB, true)
	})
	t.Logf("longest stall %v", stall)
	if stall > slow*3*time.Second {
		t.Errorf("longest stall over a rebind = %v, want at most 3s", stall)
	}
}

func TestBlockDirectIsRelayOnly(t *testing.T) {
	for _, name := range []string{"both", "one"} {
		t.Run(name, func(t *testing.T) {
			first := true
			p := startPair(t, startRelay(t), func(cfg *Config) {
				cfg.BlockDirect = first || name == "both"
				first = false
			})
			awaitPath(t, p.a, p.addrB, false)
			// Much traffic, and pings that make magicsock look for paths.
			for range 20 {
				got, err := p.a.Ping(timeout(t, 5*time.Second), p.addrB)
				if err != nil || got.Direct || got.Region != 1 {
					t.Errorf("Ping = %+v, %v, want an answer by relay 1", got, err)
				}
				awaitPath(t, p.b, p.a.cfg.Addresses[0].Addr(), false)
			}
			for _, n := range []*Node{p.a, p.b} {
				for _, peer := range n.byID {
					if got := peer.udpSends.Load(); got != 0 {
						t.Errorf("%d sends by UDP, want 0", got)
					}
				}
			}
			if eps := p.a.self.now.Endpoints; len(eps) != 0 {
				t.Errorf("endpoints in the record = %v, want none", eps)
			}
		})
	}
}
