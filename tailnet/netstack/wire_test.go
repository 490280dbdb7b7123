package netstack

import (
	"context"
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tailscale/wireguard-go/device"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	addrA = netip.MustParseAddr("fd7a:115c:a1e0::a")
	addrB = netip.MustParseAddr("fd7a:115c:a1e0::b")
)

// newStack starts a stack with the address a unless cfg has some.
func newStack(t testing.TB, cfg Config) *Stack {
	t.Helper()
	if len(cfg.Addresses) == 0 {
		cfg.Addresses = []netip.Addr{addrA}
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatalf("New(%+v) = %v, want a stack", cfg, err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// wire stands for WireGuard and the network between two stacks: what comes out
// of one's device goes into the other's, in messages of WireGuard's form.
type wire struct {
	a, b   *Stack
	ab, ba *Peer // b as a peer of a; a as a peer of b

	mu      sync.Mutex
	deliver func(from *Stack, pkt []byte) bool // nil delivers all
	largest int
	probes  atomic.Int32
}

func newWire(t testing.TB, cfgA, cfgB Config) *wire {
	t.Helper()
	cfgA.Addresses, cfgB.Addresses = []netip.Addr{addrA}, []netip.Addr{addrB}
	w := &wire{}
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	w.a, w.b = newStack(t, cfgA), newStack(t, cfgB)
	w.ab, w.ba = w.a.AddPeer(addrB), w.b.AddPeer(addrA)
	for _, p := range []*Peer{w.ab, w.ba} {
		p.SetEstablished(true)
	}
	wg.Go(func() { w.carry(w.a, w.b, w.ab, w.ba) })
	wg.Go(func() { w.carry(w.b, w.a, w.ba, w.ab) })
	return w
}

func (w *wire) setRelayed(relayed bool) {
	w.ab.SetRelayed(relayed)
	w.ba.SetRelayed(relayed)
}

// filter makes f decide which packets are delivered.
func (w *wire) filter(f func(from *Stack, pkt []byte) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deliver = f
}

func (w *wire) passes(from *Stack, pkt []byte) bool {
	w.mu.Lock()
	f := w.deliver
	w.largest = max(w.largest, len(pkt))
	w.mu.Unlock()
	return f == nil || f(from, pkt)
}

func (w *wire) largestPacket() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.largest
}

func (w *wire) carry(from, to *Stack, there, back *Peer) {
	const head = device.MessageEncapsulatingTransportSize
	src, dst := from.Device(), to.Device()
	bufs, sizes := testBuffers()
	var counter uint64
	for {
		n, err := src.Read(bufs, sizes, testOffset)
		if err != nil {
			return
		}
		sent := make([][]byte, n)
		for i := range n {
			msg := bufs[i][head:]
			binary.LittleEndian.PutUint32(msg, device.MessageTransportType)
			binary.LittleEndian.PutUint64(msg[device.MessageTransportOffsetCounter:], counter)
			counter++
			sent[i] = bufs[i][:testOffset+sizes[i]+16]
			if IsProbe(sent[i], head) {
				w.probes.Add(1)
			}
		}
		for i := range n {
			pkt := bufs[i][testOffset : testOffset+sizes[i]]
			if !w.passes(from, pkt) {
				continue
			}
			in := make([]byte, device.MaxMessageSize)
			size := copy(in, sent[i][head:])
			to.AwaitRoom()
			back.Received(in, size)
			dst.Write([][]byte{in[:device.MessageTransportOffsetContent+len(pkt)]}, device.MessageTransportOffsetContent)
		}
		there.Sent(sent, head)
	}
}

func deadline(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
