package netlab

import (
	"net"
	"net/netip"
	"testing"
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
			seen, ok := ask(t, conn, m)
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
		seen, ok := ask(t, conn, at)
		if !ok {
			t.Fatalf("%s: mirror does not answer", test.name)
		}
		send(t, listenUDP(t, stranger.node, "0.0.0.0:0"), seen, "hello")
		if text, _ := receive(t, conn, silence); (text == "hello") != test.lets {
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
		seenA, okA := ask(t, a, at)
		seenB, okB := ask(t, b, at)
		if !okA || !okB {
			t.Fatalf("%s: mirror does not answer", test.name)
		}
		send(t, a, seenB, "from a")
		send(t, b, seenA, "from b")
		text, from := receive(t, a, silence)
		if (text == "from b") != test.direct {
			t.Errorf("%s: a received %q from %v, want direct: %v", test.name, text, from, test.direct)
		}
		if text == "" {
			continue
		}
		send(t, a, from, "answer")
		if text, _ := receive(t, b, patience); text != "answer" && text != "from a" {
			t.Errorf("%s: b received %q, want the answer", test.name, text)
		}
	}
}

func TestKernelNestedNAT(t *testing.T) {
	lab := newLab(t, KernelConfig{})
	at := mirror(t, lab.Host("server").node)
	provider := lab.Router("provider", HardNAT)
	host := provider.Router("home", EasyNAT).Host("laptop")
	seen, ok := ask(t, listenUDP(t, host.node, "0.0.0.0:0"), at)
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
	before, _ := ask(t, conn, at)
	if again, ok := ask(t, conn, at); !ok || again != before {
		t.Fatalf("same flow seen as %v, then %v", before, again)
	}
	router.Forget()
	if after, ok := ask(t, conn, at); !ok || after == before {
		t.Errorf("flow after Forget seen as %v, %v; want another port than %v", after, ok, before)
	}
}
