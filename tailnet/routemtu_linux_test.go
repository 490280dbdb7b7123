package tailnet

import (
	"net/netip"
	"testing"
	"time"

	"github.com/berthdev/berth/tailnet/netlab"
)

func TestRouteMTU(t *testing.T) {
	lab := netlab.NewKernel(t, netlab.KernelConfig{IPv6: true, MTU: 1400})
	a, b := lab.Host("a"), lab.Host("b")
	want := func(to netip.Addr, mtu int) {
		t.Helper()
		if got := (labSockets{a}).RouteMTU(netip.AddrPortFrom(to, 7)); got != mtu {
			t.Errorf("MTU of the route to %v = %d, want %d", to, got, mtu)
		}
	}
	want(b.Addr(), 1400)
	want(b.Addr6(), 1400)
	want(a.Addr(), 65535) // its own, by loopback; IPv4 has no more
	want(netip.IPv6Loopback(), 65536)
	// Without discovery, IPv4's routers send large packets in fragments.
	cmd := a.Command(timeout(t, 10*time.Second), "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_no_pmtu_disc")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want(b.Addr(), 0)
	want(b.Addr6(), 1400)
}
