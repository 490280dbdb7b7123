package netlab

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestKernelNATMapping(t *testing.T) {
	lab := newLab(t, KernelConfig{})
	one, two := lab.Host("one"), lab.Host("two")
	mirrors := []netip.AddrPort{mirror(t, one.node), mirror(t, one.node), mirror(t, two.node)}
	for _, test := range []struct {
		name  string
		kind  RouterKind
		ports int // different ones that the mirrors see
	}{
		{"routed", Routed, 1},
		{"easy", EasyNAT, 1},
		{"open", OpenNAT, 1},
		{"hard", HardNAT, 3},
	} {
		router := lab.Router(test.name, test.kind)
		host := router.Host(test.name + "-host")
		conn := listenUDP(t, host.node, "0.0.0.0:41641")
		ports := map[uint16]bool{}
		for _, m := range mirrors {
			seen, ok := ask(t, conn, m, true)
			if !ok {
				t.Fatalf("%s: mirror %v does not answer", test.name, m)
			}
			want := router.Addr()
			if test.kind == Routed {
				want = host.Addr()
			}
			if seen.Addr() != want {
				t.Errorf("%s: mirror saw address %v, want %v", test.name, seen.Addr(), want)
			}
			ports[seen.Port()] = true
		}
		if len(ports) != test.ports {
			t.Errorf("%s: three mirrors saw ports %v, want %d different", test.name, ports, test.ports)
		}
	}
}

func TestKernelNATFiltering(t *testing.T) {
	lab := newLab(t, KernelConfig{})
	known, stranger := lab.Host("known"), lab.Host("stranger")
	at := mirror(t, known.node)
	for _, test := range []struct {
		name string
		kind RouterKind
		lets bool
	}{
		{"routed", Routed, true},
		{"easy", EasyNAT, false},
		{"open", OpenNAT, true},
		{"hard", HardNAT, false},
	} {
		host := lab.Router(test.name, test.kind).Host(test.name + "-host")
		conn := listenUDP(t, host.node, "0.0.0.0:0")
		seen, ok := ask(t, conn, at, true)
		if !ok {
			t.Fatalf("%s: mirror does not answer", test.name)
		}
		send(t, listenUDP(t, stranger.node, "0.0.0.0:0"), seen, "hello")
		if text, _ := receive(t, conn, waitFor(test.lets)); (text == "hello") != test.lets {
			t.Errorf("%s: stranger's packet to %v gave %q, want it let in: %v", test.name, seen, text, test.lets)
		}
	}
}

// TestKernelHolePunching does what two nodes behind separate NATs do: both
// learn their own address from a mirror and then send to each other's.
func TestKernelHolePunching(t *testing.T) {
	lab := newLab(t, KernelConfig{})
	at := mirror(t, lab.Host("server").node)
	for _, test := range []struct {
		name   string
		a, b   RouterKind
		direct bool
	}{
		{"easy-easy", EasyNAT, EasyNAT, true},
		{"easy-hard", EasyNAT, HardNAT, false},
		{"open-hard", OpenNAT, HardNAT, true},
		{"hard-hard", HardNAT, HardNAT, false},
	} {
		a := listenUDP(t, lab.Router(test.name+"-ra", test.a).Host(test.name+"-a").node, "0.0.0.0:5000")
		b := listenUDP(t, lab.Router(test.name+"-rb", test.b).Host(test.name+"-b").node, "0.0.0.0:5000")
		seenA, okA := ask(t, a, at, true)
		seenB, okB := ask(t, b, at, true)
		if !okA || !okB {
			t.Fatalf("%s: mirror does not answer", test.name)
		}
		text := punch(t, a, b, seenA, seenB, test.direct)
		if (text != "") != test.direct {
			t.Errorf("%s: a received %q, want direct: %v", test.name, text, test.direct)
		}
	}
}

// punch lets both send until a hears b, and at least a few times: the first
// packets may find the other side's NAT still closed.
func punch(t *testing.T, a, b net.PacketConn, seenA, seenB netip.AddrPort, expected bool) (heard string) {
	t.Helper()
	end := time.Now().Add(patience)
	for round := 0; heard == "" && (round < 3 || expected && time.Now().Before(end)); round++ {
		send(t, a, seenB, "from a")
		send(t, b, seenA, "from b")
		heard, _ = receive(t, a, silence)
	}
	return heard
}

func TestKernelNestedNAT(t *testing.T) {
	lab := newLab(t, KernelConfig{})
	at := mirror(t, lab.Host("server").node)
	provider := lab.Router("provider", HardNAT)
	host := provider.Router("home", EasyNAT).Host("laptop")
	seen, ok := ask(t, listenUDP(t, host.node, "0.0.0.0:0"), at, true)
	if !ok || seen.Addr() != provider.Addr() {
		t.Errorf("mirror saw %v, %v; want the provider's %v", seen, ok, provider.Addr())
	}
}

func TestKernelNATHidesItsNetwork(t *testing.T) {
	lab := newLab(t, KernelConfig{})
	server := lab.Host("server")
	hidden := lab.Router("home", EasyNAT).Host("laptop")
	conn := listenUDP(t, server.node, "0.0.0.0:0")
	inside := listenUDP(t, hidden.node, "0.0.0.0:9")
	_, _ = conn.WriteTo([]byte("hello"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(hidden.Addr(), 9)))
	if text, from := receive(t, inside, silence); text != "" {
		t.Errorf("host behind NAT received %q from %v at its private address", text, from)
	}
}

func TestKernelForgetEndsMappings(t *testing.T) {
	lab := newLab(t, KernelConfig{})
	at := mirror(t, lab.Host("server").node)
	router := lab.Router("office", HardNAT)
	conn := listenUDP(t, router.Host("laptop").node, "0.0.0.0:0")
	before, _ := ask(t, conn, at, true)
	if again, ok := ask(t, conn, at, true); !ok || again != before {
		t.Fatalf("same flow seen as %v, then %v", before, again)
	}
	router.Forget()
	if after, ok := ask(t, conn, at, true); !ok || after == before {
		t.Errorf("flow after Forget seen as %v, %v; want another port than %v", after, ok, before)
	}
}
