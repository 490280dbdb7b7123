package netlab

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is far more than anything here takes on a loaded machine.
const patience = 20 * time.Second

// silence is how long we listen before we believe that nothing comes. Packets
// of a lab take microseconds.
const silence = 200 * time.Millisecond

func newLab(t *testing.T, cfg KernelConfig) *Kernel {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	return NewKernel(t, cfg)
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// listenUDP opens a socket that ends with the test.
func listenUDP(t *testing.T, n *node, address string) net.PacketConn {
	t.Helper()
	conn, err := n.ListenPacket("udp", address)
	if err != nil {
		t.Fatalf("%s: ListenPacket(%q): %v", n.name, address, err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// mirror answers every packet at a new socket with its source address, as STUN
// does.
func mirror(t *testing.T, n *node) netip.AddrPort {
	t.Helper()
	conn := listenUDP(t, n, ":0")
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64)
		for {
			_, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo([]byte(unmapped(from).String()), from)
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return netip.AddrPortFrom(n.Addr(), unmapped(conn.LocalAddr()).Port())
}

func unmapped(a net.Addr) netip.AddrPort {
	ap := a.(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// ask returns how a mirror sees conn, or nothing if it does not answer. It
// gives up soon only where no answer is expected.
func ask(t *testing.T, conn net.PacketConn, at netip.AddrPort, expected bool) (_ netip.AddrPort, answered bool) {
	t.Helper()
	_, _ = conn.WriteTo([]byte("?"), net.UDPAddrFromAddrPort(at))
	text, from := receive(t, conn, waitFor(expected))
	if from != at {
		return netip.AddrPort{}, false
	}
	seen, err := netip.ParseAddrPort(text)
	if err != nil {
		t.Fatalf("mirror %v answered %q", at, text)
	}
	return seen, true
}

// receive reads one packet, or nothing within the time.
func receive(t *testing.T, conn net.PacketConn, within time.Duration) (string, netip.AddrPort) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(within))
	buf := make([]byte, 64)
	n, from, err := conn.ReadFrom(buf)
	if err != nil {
		return "", netip.AddrPort{}
	}
	return string(buf[:n]), unmapped(from)
}

// waitFor is how long to wait for what is expected or not.
func waitFor(expected bool) time.Duration {
	if expected {
		return patience
	}
	return silence
}

func send(t *testing.T, conn net.PacketConn, to netip.AddrPort, text string) {
	t.Helper()
	if _, err := conn.WriteTo([]byte(text), net.UDPAddrFromAddrPort(to)); err != nil {
		t.Fatalf("send %q to %v: %v", text, to, err)
	}
}

func TestKernelIPv6(t *testing.T) {
	lab := newLab(t, KernelConfig{IPv6: true})
	server := lab.Host("server")
	home := lab.Router("home", HardNAT)
	laptop := home.Host("laptop")
	at := netip.AddrPortFrom(server.Addr6(), mirror(t, server.node).Port())
	conn := listenUDP(t, laptop.node, "[::]:0")
	seen, ok := ask(t, conn, at, true)
	if !ok || seen.Addr() != laptop.Addr6() {
		t.Fatalf("mirror saw %v, %v; want %v", seen, ok, laptop.Addr6())
	}
	send(t, listenUDP(t, server.node, "[::]:0"), seen, "hello")
	if text, _ := receive(t, conn, silence); text != "" {
		t.Errorf("a stranger's %q came in over IPv6", text)
	}
	old := laptop.Addr6()
	laptop.Readdress()
	if seen, ok := ask(t, conn, at, true); !ok || seen.Addr() != laptop.Addr6() || seen.Addr() == old {
		t.Errorf("mirror saw %v, %v after Readdress; want %v", seen, ok, laptop.Addr6())
	}
	laptop.SetUp(false)
	laptop.SetUp(true)
	if seen, ok := ask(t, conn, at, true); !ok || seen.Addr() != laptop.Addr6() {
		t.Errorf("mirror saw %v, %v after down and up; want %v", seen, ok, laptop.Addr6())
	}
}

// TestKernelHasNoWayOut proves that a host reaches neither the machine's
// addresses nor what the machine reaches.
func TestKernelHasNoWayOut(t *testing.T) {
	lab := newLab(t, KernelConfig{IPv6: true})
	host := lab.Router("home", EasyNAT).Host("laptop")
	ln, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		ip := a.(*net.IPNet).IP
		_, port, _ := strings.Cut(ln.Addr().String()[strings.LastIndex(ln.Addr().String(), "]")+1:], ":")
		ctx, cancel := context.WithTimeout(t.Context(), silence)
		conn, err := host.Dial(ctx, "tcp", net.JoinHostPort(ip.String(), port))
		cancel()
		if err == nil {
			conn.Close()
			t.Errorf("a host in the lab reached the machine at %v", ip)
		}
	}
}

func TestKernelRoaming(t *testing.T) {
	lab := newLab(t, KernelConfig{})
	at := mirror(t, lab.Host("server").node)
	home, phone := lab.Router("home", EasyNAT), lab.Router("phone", HardNAT)
	laptop := home.Host("laptop")
	conn := listenUDP(t, laptop.node, "0.0.0.0:0")
	expect := func(when string, want netip.Addr) {
		t.Helper()
		if seen, ok := ask(t, conn, at, true); !ok || seen.Addr() != want {
			t.Errorf("%s: mirror saw %v, %v; want %v", when, seen, ok, want)
		}
	}
	expect("at home", home.Addr())
	laptop.MoveTo(phone)
	expect("at the phone", phone.Addr())
	laptop.MoveTo(lab.Public())
	expect("in public", laptop.Addr())
	old := laptop.Addr()
	if got := laptop.Readdress(); got == old || got != laptop.Addr() {
		t.Errorf("Readdress = %v, was %v, Addr = %v", got, old, laptop.Addr())
	}
	expect("with another address", laptop.Addr())
	laptop.SetUp(false)
	if seen, ok := ask(t, conn, at, false); ok {
		t.Errorf("interface down: mirror saw %v, want nothing", seen)
	}
	laptop.SetUp(true)
	expect("up again", laptop.Addr())
	laptop.MoveTo(home)
	expect("at home again", home.Addr())
	old = home.Addr()
	if home.Readdress() == old {
		t.Errorf("Readdress of the router kept %v", old)
	}
	expect("after the provider gave another address", home.Addr())
}

func TestKernelLeavesNothing(t *testing.T) {
	lab := newLab(t, KernelConfig{})
	lab.Router("home", EasyNAT).Host("laptop")
	links := func() string {
		var names []string
		ifs, err := net.Interfaces()
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range ifs {
			names = append(names, i.Name)
		}
		return strings.Join(names, " ")
	}
	before := links()
	if got := namespacesOf(t, lab.prefix); len(got) != 3 {
		t.Fatalf("lab has namespaces %v, want 3", got)
	}
	lab.Close()
	lab.Close()
	if got := namespacesOf(t, lab.prefix); len(got) != 0 {
		t.Errorf("after Close there are %v", got)
	}
	if after := links(); after != before {
		t.Errorf("devices were %s, are %s", before, after)
	}
}

func namespacesOf(t *testing.T, prefix string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(namespaceDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	return names
}
