//go:build linux

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/berthdev/berth/tailnet/netlab"
)

// TestBlockDirectIsRelayOnly counts at the kernel of each side.
func TestBlockDirectIsRelayOnly(t *testing.T) {
	p := newPlace(t, netlab.Routed, netlab.Routed, "--block-direct-connections")
	sides := []*netlab.Host{p.client, p.box}
	for _, h := range sides {
		countUDP(t, p, h)
	}
	mustStayRelayed(t, p)
	for _, h := range sides {
		if n := udpSent(t, p, h); n != "0" {
			t.Errorf("UDP packets that left %s with --block-direct-connections = %s, want 0", h.Name(), n)
		}
	}
}

// TestClientMayRefuseDirect is the same for one user's choice.
func TestClientMayRefuseDirect(t *testing.T) {
	p := newPlace(t, netlab.Routed, netlab.Routed)
	p.user.Env = append(p.user.Env, "CODER_DISABLE_DIRECT_CONNECTIONS=true")
	countUDP(t, p, p.client)
	mustStayRelayed(t, p)
	if n := udpSent(t, p, p.client); n != "0" {
		t.Errorf("UDP packets that left the client with CODER_DISABLE_DIRECT_CONNECTIONS = %s, want 0", n)
	}
}

func iptables(t *testing.T, p *place, h *netlab.Host, args ...string) string {
	t.Helper()
	r := p.Run(h.Command(within(t, 10*time.Second), "iptables", append([]string{"-w"}, args...)...))
	if r.Code != 0 {
		t.Fatalf("iptables %v on %s: %s", args, h.Name(), r.Stderr)
	}
	return r.Stdout
}

func countUDP(t *testing.T, p *place, h *netlab.Host) {
	t.Helper()
	iptables(t, p, h, "-I", "OUTPUT", "-p", "udp", "!", "-o", "lo")
}

// udpSent is the number of packets that the rule of countUDP met.
func udpSent(t *testing.T, p *place, h *netlab.Host) string {
	t.Helper()
	rules := iptables(t, p, h, "-v", "-S", "OUTPUT")
	_, counters, found := strings.Cut(rules, " -p udp -c ")
	if !found {
		t.Fatalf("%s has lost the rule that counts: %s", h.Name(), rules)
	}
	packets, _, _ := strings.Cut(counters, " ")
	return packets
}
