package tailnet

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"tailscale.com/net/stunserver"

	"github.com/berthdev/berth/tailnet/netlab"
)

// labSockets are UDP sockets of the kernel on a host of a lab.
type labSockets struct{ host *netlab.Host }

func (s labSockets) ListenPacket(_ context.Context, network, address string) (net.PacketConn, error) {
	return s.host.ListenPacket(network, address)
}

func (s labSockets) RouteMTU(to netip.AddrPort) (mtu int) {
	_ = s.host.Do(func() error { mtu = routeMTU(to); return nil }) // 0 is what it could not find out
	return mtu
}

// widthLab is two nodes of which the UDP sockets, and nothing else, are on hosts of
// a lab.
type widthLab struct {
	*testPair
	lab          *netlab.Kernel
	hostA, hostB *netlab.Host
}

func newWidthLab(t *testing.T, cfg netlab.KernelConfig) *widthLab {
	t.Helper()
	l := &widthLab{lab: netlab.NewKernel(t, cfg)}
	l.hostA, l.hostB = l.lab.Host("a"), l.lab.Host("b")
	stun := labSTUN(t, l.lab)
	hosts := []*netlab.Host{l.hostA, l.hostB}
	l.testPair = startPair(t, startRelay(t), func(cfg *Config) {
		n := cfg.DERPMap.Regions[1].Nodes[0]
		n.STUNTestIP, n.STUNPort = stun.Addr().String(), int(stun.Port())
		cfg.PacketListener = labSockets{hosts[0]}
		hosts = hosts[1:]
	})
	serve(t, l.b, 7, bulkServer)
	awaitPath(t, l.a, l.addrB, true)
	awaitPath(t, l.b, l.a.cfg.Addresses[0].Addr(), true)
	return l
}

func labSTUN(t *testing.T, lab *netlab.Kernel) netip.AddrPort {
	t.Helper()
	host := lab.Host("stun")
	ctx, cancel := context.WithCancel(context.Background())
	s := stunserver.New(ctx)
	if err := host.Do(func() error { return s.Listen(net.JoinHostPort(host.Addr().String(), "3478")) }); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve() }()
	t.Cleanup(func() { cancel(); <-done })
	return netip.AddrPortFrom(host.Addr(), 3478)
}

// run runs a command on a node of the lab.
func (l *widthLab) run(t *testing.T, on *netlab.Router, name string, args ...string) {
	t.Helper()
	if out, err := on.Command(timeout(t, 10*time.Second), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// awaitPacket sends until packets from a to b have the wanted size.
func awaitPacket(t *testing.T, p *testPair, want int) {
	t.Helper()
	ctx := timeout(t, 20*time.Second)
	for p.a.Path(p.addrB).Packet != want {
		if ctx.Err() != nil {
			t.Fatalf("path = %+v, want packets of %d bytes", p.a.Path(p.addrB), want)
		}
		if _, err := bulk(p.dial(t, 7), 'u', 1<<20, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWidthOnLoopback(t *testing.T) {
	p := startPair(t, startRelay(t), nil)
	serve(t, p.b, 7, bulkServer)
	awaitPath(t, p.a, p.addrB, true)
	awaitPacket(t, p, 32000)
	noDrops(t, p.a, p.b)
}

// TestWidthOfALink finds the largest packet of a network, and no larger one.
func TestWidthOfALink(t *testing.T) {
	for _, c := range []struct{ mtu, want int }{{1340, 1280}, {1420, 1360}, {1500, 1440}, {9000, 8928}} {
		t.Run(strconv.Itoa(c.mtu), func(t *testing.T) {
			l := newWidthLab(t, netlab.KernelConfig{MTU: c.mtu})
			awaitPacket(t, l.testPair, c.want)
			before := l.hostA.Link().Out.Counters()
			if _, err := bulk(l.dial(t, 7), 'u', 16<<20, nil); err != nil {
				t.Fatal(err)
			}
			after := l.hostA.Link().Out.Counters()
			// WireGuard, UDP and IP around it. The last of those that a large segment
			// is cut into is smaller.
			full := uint64(c.want + 32 + 28)
			if mean := (after.Bytes - before.Bytes) / (after.Packets - before.Packets); mean < full*3/4 || mean > full {
				t.Errorf("the packets of a transfer have %d bytes in the mean, want nearly %d", mean, full)
			}
			noDrops(t, l.a, l.b)
		})
	}
}

// TestWidthOfANarrowLink has a link for which a packet of 1280 bytes is too large
// with its headers. The kernel would send it in fragments, and refuses batches of it.
func TestWidthOfANarrowLink(t *testing.T) {
	l := newWidthLab(t, netlab.KernelConfig{MTU: 1280})
	awaitPacket(t, l.testPair, narrow.packet())
	if _, err := bulk(l.dial(t, 7), 'u', 16<<20, nil); err != nil {
		t.Fatal(err)
	}
	noDrops(t, l.a, l.b)
}

// TestWidthShrinks lets a network carry less in the middle of a transfer: it tells
// the sender, or it does not.
func TestWidthShrinks(t *testing.T) {
	for _, c := range []struct {
		what    string
		want    int
		command []string
	}{
		{"silently", 1280, []string{"iptables", "-I", "FORWARD", "-p", "udp", "-m", "length", "--length", "1501:65535", "-j", "DROP"}},
		{"by ICMP", 1280, []string{"ip", "link", "set", "group", "default", "mtu", "1500"}},
		{"by ICMP, to a narrow path", narrow.packet(), []string{"ip", "link", "set", "group", "default", "mtu", "1300"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			l := newWidthLab(t, netlab.KernelConfig{MTU: 9000})
			awaitPacket(t, l.testPair, 8928)
			stall := during(t, l.testPair, 'u', func() {
				l.run(t, l.lab.Public(), c.command[0], c.command[1:]...)
				for tick := time.NewTicker(time.Millisecond); l.a.Path(l.addrB).Packet != c.want; <-tick.C {
					if t.Failed() {
						return
					}
				}
			})
			t.Logf("longest stall %v, path %+v", stall, l.a.Path(l.addrB))
			if stall > slow*3*time.Second {
				t.Errorf("longest stall = %v, want at most 3s", stall)
			}
		})
	}
}

// TestWidthAfterAMove moves the receiver to a network with smaller packets.
func TestWidthAfterAMove(t *testing.T) {
	l := newWidthLab(t, netlab.KernelConfig{MTU: 9000})
	awaitPacket(t, l.testPair, 8928)
	office := l.lab.Router("office", netlab.Routed)
	stall := during(t, l.testPair, 'u', func() {
		l.hostB.MoveTo(office)
		l.run(t, l.lab.Public(), "ip", "link", "set", "group", "default", "mtu", "1500")
		l.b.Rebind()
		for tick := time.NewTicker(time.Millisecond); l.a.Path(l.addrB).Endpoint.Addr() != l.hostB.Addr(); <-tick.C {
			if t.Failed() {
				return
			}
		}
	})
	t.Logf("longest stall %v, path %+v", stall, l.a.Path(l.addrB))
	awaitPacket(t, l.testPair, 1440)
}
