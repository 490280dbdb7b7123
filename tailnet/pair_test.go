package tailnet

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"
	"tailscale.com/envknob"

	"github.com/berthdev/berth/tailnet/proto"
)

func TestMain(m *testing.M) {
	// Upstream's relay keeps 32 packets for a client and drops more; that is
	// less than one window of one connection.
	envknob.Setenv("TS_DEBUG_DERP_PER_CLIENT_SEND_QUEUE_DEPTH", "512")
	goleak.VerifyTestMain(m)
}

// testPair is two nodes that know each other.
type testPair struct {
	a, b     *Node
	idA, idB uuid.UUID
	addrB    netip.Addr // of b
}

// startPair starts two nodes with the relay's map; each is told the records of
// the other, as a coordinator would.
func startPair(t testing.TB, r *testRelay, change func(cfg *Config)) *testPair {
	t.Helper()
	p := &testPair{idA: uuid.New(), idB: uuid.New()}
	p.addrB = AddressFor(p.idB)
	toA, toB := make(chan *proto.Node, 16), make(chan *proto.Node, 16)
	p.a = startNode(t, r, p.idA, toB, change)
	p.b = startNode(t, r, p.idB, toA, change)
	deliver(t, p.a, p.idB, toA)
	deliver(t, p.b, p.idA, toB)
	return p
}

func testLogger(t testing.TB) *slog.Logger {
	if os.Getenv("TAILNET_TEST_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func testLoggerOrDiscard(t testing.TB) *slog.Logger {
	if l := testLogger(t); l != nil {
		return l
	}
	return slog.New(slog.DiscardHandler)
}

func startNode(t testing.TB, r *testRelay, id uuid.UUID, records chan<- *proto.Node, change func(cfg *Config)) *Node {
	t.Helper()
	cfg := Config{
		Addresses: AddressesFor(id), Logger: testLogger(t),
		Self: func(n *proto.Node) {
			select {
			case records <- n:
			case <-t.Context().Done():
			}
		},
	}
	if r != nil {
		cfg.DERPMap = r.derpMap()
	}
	if change != nil {
		change(&cfg)
	}
	n, err := New(cfg)
	if err != nil {
		t.Fatalf("New(%v) = %v, want a node", cfg.Addresses, err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// deliver gives n the records of the peer id until the test ends.
func deliver(t testing.TB, n *Node, id uuid.UUID, records <-chan *proto.Node) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case rec := <-records:
				if err := n.SetPeer(id, rec); err != nil {
					t.Errorf("SetPeer(%v, a node's own record) = %v, want nil", id, err)
				}
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
}

func timeout(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// serve accepts connections at b's port and handles each.
func serve(t testing.TB, n *Node, port uint16, handle func(net.Conn)) {
	t.Helper()
	l, err := n.ListenTCP(port)
	if err != nil {
		t.Fatalf("ListenTCP(%d) = %v, want nil", port, err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); handle(c) }()
		}
	}()
	t.Cleanup(func() { l.Close() })
}

func echo(c net.Conn) { io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}) }

// dial connects to b's port and waits for it.
func (p *testPair) dial(t testing.TB, port uint16) net.Conn {
	t.Helper()
	c, err := p.a.DialTCP(timeout(t, 20*time.Second), netip.AddrPortFrom(p.addrB, port))
	if err != nil {
		t.Fatalf("DialTCP(%v, %d) = %v, want a connection", p.addrB, port, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// awaitPath waits until packets from n to addr take the wanted way. It pings
// so that there are packets.
func awaitPath(t testing.TB, n *Node, addr netip.Addr, direct bool) {
	t.Helper()
	ctx := timeout(t, 20*time.Second)
	if err := n.AwaitReachable(ctx, addr); err != nil {
		t.Fatalf("path to %v: %v", addr, err)
	}
	for {
		ping, cancel := context.WithTimeout(ctx, time.Second)
		_, _ = n.stack.PingTSMP(ping, addr) // one that is lost is followed by the next
		cancel()
		if p := n.Path(addr); p.Direct == direct && p.Relayed == !direct {
			return
		}
		// Pings are answered at once; leave the nodes time to look for a path.
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("path to %v = %+v, want direct %v", addr, n.Path(addr), direct)
		}
	}
}

// awaitEcho waits until n hears itself through its relay.
func awaitEcho(t testing.TB, n *Node) {
	t.Helper()
	ctx := timeout(t, 10*time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !n.RelayConnected() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the relay does not answer")
		}
	}
}

// awaitKnown waits until n has been told of its peer, as a client waits until
// the agent says that it is ready for a handshake.
func awaitKnown(t testing.TB, n *Node, addr netip.Addr) {
	t.Helper()
	ctx := timeout(t, 10*time.Second)
	for {
		news := n.peerNews()
		if n.peerByAddr(addr) != nil {
			return
		}
		select {
		case <-news:
		case <-ctx.Done():
			t.Fatalf("%v is not known", addr)
		}
	}
}
