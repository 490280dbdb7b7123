package netlab

import (
	"context"
	"net/netip"
	"testing"

	"tailscale.com/net/stun"
	"tailscale.com/types/nettype"
)

func socket(t *testing.T, l nettype.PacketListener) nettype.PacketConn {
	t.Helper()
	pc, err := l.ListenPacket(context.Background(), "udp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	return pc.(nettype.PacketConn)
}

// mapped asks a STUN server for the public address of pc.
func mapped(t *testing.T, pc nettype.PacketConn, server netip.AddrPort) netip.AddrPort {
	t.Helper()
	pc.WriteToUDPAddrPort(stun.Request(stun.NewTxID()), server)
	buf := make([]byte, 1500)
	n, _, err := pc.ReadFromUDPAddrPort(buf)
	if err != nil {
		t.Fatal(err)
	}
	_, addr, err := stun.ParseResponse(buf[:n])
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

func TestMemoryNATs(t *testing.T) {
	for _, tt := range []struct {
		nat  MemoryNAT
		same bool // one public address for all destinations
	}{{MemoryEasyNAT, true}, {MemoryHardNAT, false}} {
		m := NewMemory()
		ctx, cancel := context.WithCancel(context.Background())
		first, wait1, err := m.STUN(ctx)
		if err != nil {
			t.Fatal(err)
		}
		second, wait2, err := m.STUN(ctx)
		if err != nil {
			t.Fatal(err)
		}
		pc := socket(t, m.HostBehind(tt.nat, "host"))
		a, b := mapped(t, pc, first), mapped(t, pc, second)
		if same := a == b; same != tt.same {
			t.Errorf("NAT %d maps to %v and %v, want the same: %v", tt.nat, a, b, tt.same)
		}
		// Strangers are kept out.
		open, _ := m.Host("stranger")
		socket(t, open).WriteToUDPAddrPort([]byte("x"), a)
		got := make(chan netip.AddrPort, 1)
		go func() {
			if _, from, err := pc.ReadFromUDPAddrPort(make([]byte, 1)); err == nil {
				got <- from
			}
			close(got)
		}()
		pc.Close()
		if from, ok := <-got; ok {
			t.Errorf("NAT %d let in a stranger's packet from %v", tt.nat, from)
		}
		cancel()
		wait1()
		wait2()
	}
}
