package tailnet

import (
	"context"
	"testing"
	"time"

	"github.com/berthdev/berth/tailnet/netlab"
)

func TestMeasureBehindNAT(t *testing.T) {
	lab := netlab.NewMemory()
	ctx, cancel := context.WithCancel(context.Background())
	stun, wait, err := lab.STUN(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); wait() })
	p := startPair(t, startRelay(t), func(cfg *Config) {
		n := cfg.DERPMap.Regions[1].Nodes[0]
		n.STUNTestIP, n.STUNPort = stun.Addr().String(), int(stun.Port())
		cfg.PacketListener = lab.HostBehind(netlab.MemoryEasyNAT, "host")
	})
	m, err := p.a.Measure(timeout(t, 20*time.Second))
	if err != nil || !m.UDP || !m.IPv4 || m.PreferredDERP != 1 || m.RegionLatency[1] <= 0 {
		t.Errorf("Measure = %+v, %v; want UDP and region 1 with its latency", m, err)
	}
}

func TestMeasureWithoutUDP(t *testing.T) {
	p := startPair(t, startRelay(t), func(cfg *Config) { cfg.BlockDirect = true })
	m, err := p.a.Measure(timeout(t, 20*time.Second))
	if err != nil || m.UDP || m.RegionLatency[1] <= 0 {
		t.Errorf("Measure = %+v, %v; want no UDP and the latency of the relay", m, err)
	}
}

func TestPeersTellsThePath(t *testing.T) {
	p := startPair(t, startRelay(t), func(cfg *Config) { cfg.BlockDirect = true })
	serve(t, p.b, 7, echo)
	conn := p.dial(t, 7)
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	list := p.a.Peers()
	if len(list) != 1 || list[0].Addresses[0] != p.addrB || !list[0].Path.Relayed || list[0].Handshake.IsZero() || list[0].RelaySends == 0 {
		t.Errorf("Peers = %+v, want %v, relayed", list, p.addrB)
	}
}
