package tailnet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/uuid"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/berthdev/berth/tailnet/derpmap"
	"github.com/berthdev/berth/tailnet/proto"
)

func TestCloseEndsEverything(t *testing.T) {
	// TestMain fails if a goroutine is left.
	p := startPair(t, startRelay(t), nil)
	serve(t, p.b, 7, echo)
	awaitPath(t, p.a, p.addrB, true)
	c := p.dial(t, 7)
	waiting := make(chan error, 2)
	go func() { waiting <- p.a.AwaitReachable(context.Background(), AddressFor(uuid.New())) }()
	go func() {
		_, err := p.a.DialTCP(context.Background(), netip.AddrPortFrom(AddressFor(uuid.New()), 1))
		waiting <- err
	}()
	for range 2 {
		if err := p.a.Close(); err != nil {
			t.Errorf("Close = %v, want nil", err)
		}
	}
	for range 2 {
		if err := <-waiting; !errors.Is(err, net.ErrClosed) {
			t.Errorf("a call that waited = %v, want net.ErrClosed", err)
		}
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("read after Close = nil, want an error")
	}
}

func TestPeersLearnOfClose(t *testing.T) {
	p := startPair(t, startRelay(t), nil)
	ended := make(chan error, 1)
	serve(t, p.b, 7, func(c net.Conn) {
		_, err := c.Read(make([]byte, 1))
		ended <- err
	})
	awaitPath(t, p.a, p.addrB, true)
	c := p.dial(t, 7)
	c.Close()
	p.a.Close()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the other side was not told that the connection ended")
	}
}

func TestBadMapIsRefused(t *testing.T) {
	n, err := New(Config{Addresses: AddressesFor(uuid.New())})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if err := n.SetDERPMap(&derpmap.Map{}); !errors.Is(err, derpmap.ErrNoRelay) {
		t.Errorf("SetDERPMap(no relay) = %v, want ErrNoRelay", err)
	}
	if _, err := New(Config{Addresses: AddressesFor(uuid.New()), DERPMap: &derpmap.Map{}}); !errors.Is(err, derpmap.ErrNoRelay) {
		t.Errorf("New(a map without relay) = %v, want ErrNoRelay", err)
	}
	if _, err := New(Config{}); err == nil {
		t.Error("New(no address) = nil, want an error")
	}
}

func TestLostHandshakeIsHastened(t *testing.T) {
	p := startPair(t, startRelay(t), func(cfg *Config) { cfg.BlockDirect = true })
	addrA := p.a.cfg.Addresses[0].Addr()
	awaitKnown(t, p.a, p.addrB)
	awaitKnown(t, p.b, addrA)
	// b does not know a, so that a's first handshake is lost. WireGuard would
	// try again after 5 s.
	id := p.idA
	p.a.self.mu.Lock()
	rec := protobuf.CloneOf(p.a.self.now)
	p.a.self.mu.Unlock()
	p.b.RemovePeer(id)
	start := time.Now()
	reached := make(chan error, 1)
	go func() { reached <- p.a.AwaitReachable(timeout(t, 10*time.Second), p.addrB) }()
	sent := p.a.peerByAddr(p.addrB)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for sent.relaySends.Load() == 0 {
		<-tick.C
	}
	if err := p.b.SetPeer(id, rec); err != nil {
		t.Fatal(err)
	}
	if err := <-reached; err != nil {
		t.Fatalf("AwaitReachable = %v, want nil", err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("reachable after %v, want less than the 5s that WireGuard waits", took)
	}
	if _, ok := p.a.LastHandshake(p.idB); !ok {
		t.Error("LastHandshake = false after a handshake, want true")
	}
}

// TestCloseWhileRebinding closes nodes that make new sockets at that moment, as that
// of a laptop that wakes does. WireGuard waits for who reads the sockets of before.
func TestCloseWhileRebinding(t *testing.T) {
	r := startRelay(t)
	for i := range 100 {
		n := startNode(t, r, uuid.New(), make(chan *proto.Node, 16), nil)
		n.Rebind()
		closed := make(chan error, 1)
		go func() { closed <- n.Close() }()
		select {
		case <-closed:
		case <-time.After(20 * time.Second):
			t.Fatalf("node %d does not close", i)
		}
	}
}
