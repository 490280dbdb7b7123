package tailnet

import (
	"context"
	"testing"

	"github.com/berthdev/berth/tailnet/netlab"
)

func TestNATs(t *testing.T) {
	const none = netlab.MemoryNAT(-1)
	for _, tt := range []struct {
		name   string
		a, b   netlab.MemoryNAT
		direct bool
	}{
		{"no NAT", none, none, true},
		{"easy and none", netlab.MemoryEasyNAT, none, true},
		{"hard and none", netlab.MemoryHardNAT, none, true},
		{"easy and easy", netlab.MemoryEasyNAT, netlab.MemoryEasyNAT, true},
		{"hard and hard", netlab.MemoryHardNAT, netlab.MemoryHardNAT, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lab := netlab.NewMemory()
			ctx, cancel := context.WithCancel(context.Background())
			stun, wait, err := lab.STUN(ctx)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { cancel(); wait() })
			nats := []netlab.MemoryNAT{tt.a, tt.b}
			p := startPair(t, startRelay(t), func(cfg *Config) {
				n := cfg.DERPMap.Regions[1].Nodes[0]
				n.STUNTestIP, n.STUNPort = stun.Addr().String(), int(stun.Port())
				if nats[0] == none {
					cfg.PacketListener, _ = lab.Host("open")
				} else {
					cfg.PacketListener = lab.HostBehind(nats[0], "host")
				}
				nats = nats[1:]
			})
			serve(t, p.b, 7, bulkServer)
			awaitPath(t, p.a, p.addrB, tt.direct)
			if _, err := bulk(p.dial(t, 7), 'u', 4<<20, nil); err != nil {
				t.Errorf("bulk = %v, want nil", err)
			}
			if got := p.a.Path(p.addrB); got.Direct != tt.direct {
				t.Errorf("path after bulk = %+v, want direct %v", got, tt.direct)
			}
		})
	}
}
