package tailnet

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/tailscale/wireguard-go/conn"
	"github.com/tailscale/wireguard-go/device"

	"github.com/berthdev/berth/tailnet/netstack"
)

// testPeer is a peer that nobody talks to, with a direct path of the given width.
func testPeer(w width) *peer {
	p := &peer{peerState: &peerState{inside: new(netstack.Peer)}}
	p.path.swap(viaUDP)
	p.setWidth(w)
	return p
}

// TestWidthOfAnotherPathIsNotTaken settles what was found of an address that
// packets have left, or of a path that is not the direct one alone.
func TestWidthOfAnotherPathIsNotTaken(t *testing.T) {
	n := &Node{log: slog.New(slog.DiscardHandler)}
	old, now := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2")
	for _, c := range []struct {
		what string
		path path
		at   *netip.AddrPort
		want width
	}{
		{"the address packets go to", viaUDP, &now, narrow},
		{"one that they have left", viaUDP, &old, unknownWidth},
		{"a path through the relay too", viaUDP | viaRelay, &now, unknownWidth},
	} {
		p := testPeer(unknownWidth)
		p.endpoint.Store(&now)
		p.path.swap(c.path)
		if settled := n.settleWidth(p, c.at, narrow); p.width.load() != c.want || settled != (c.want != unknownWidth) {
			t.Errorf("%s: settled = %v, width %v; want %v", c.what, settled, p.width.load(), c.want)
		}
	}
}

// TestWidthIsOfOneAddress moves a peer whose path carries large packets.
func TestWidthIsOfOneAddress(t *testing.T) {
	n := &Node{probes: make(chan *peer, 1)}
	p := testPeer(9000)
	p.width.begin(time.Now())
	n.sentTo(p, netip.MustParseAddrPort("192.0.2.1:1"))
	if got := p.width.load(); got != unknownWidth {
		t.Errorf("width at the new address = %v, want it unknown", got)
	}
	p.setWidth(wide)
	if !p.width.isDue(time.Now(), manyPackets, int(wide)) {
		t.Error("after the move no look for more is due, want that nothing of the old address is left")
	}
}

func TestWidthVerdict(t *testing.T) {
	first, more := []width{narrow, wide}, []width{narrow, wide, 1472, 8960}
	for _, c := range []struct {
		what    string
		sizes   []width
		answers []int
		astray  bool
		want    width
	}{
		{"a large probe is answered", first, []int{0, 1}, false, wide},
		{"one is answered that a relay may have carried", first, []int{6, 1}, true, unknownWidth},
		{"only small ones are answered", first, []int{6, 0}, false, narrow},
		{"few are answered: packets get lost", first, []int{2, 0}, false, unknownWidth},
		{"a relay carried what was not answered", first, []int{6, 0}, true, unknownWidth},
		{"nothing is answered", first, []int{0, 0}, false, unknownWidth},
		{"the largest is answered", more, []int{0, 1, 0, 1}, false, 8960},
		{"the largest is not", more, []int{5, 5, 5, 0}, false, 1472},
		{"nothing larger is", more, []int{5, 4, 0, 0}, false, wide},
		{"it has become narrow", more, []int{5, 0, 0, 0}, false, narrow},
		{"nothing is answered any more", more, []int{0, 0, 0, 0}, false, unknownWidth},
	} {
		if got := verdict(c.sizes, c.answers, c.astray); got != c.want {
			t.Errorf("%s: verdict = %v, want %v", c.what, got, c.want)
		}
	}
}

// TestWidthDecidesTheWay says for each size of a message whether it may go
// directly, and whether it goes through the relay.
func TestWidthDecidesTheWay(t *testing.T) {
	const narrow, wide = int(narrow), int(wide)
	for _, c := range []struct {
		width              width
		size               int
		relayOnly, relayed bool
	}{
		{unknownWidth, narrow, false, false},
		{unknownWidth, wide, false, true},
		{unknownWidth, wide + 1, true, true},
		{width(wide), wide, false, false},
		{width(wide), wide + 1, true, true},
		{width(narrow), narrow, false, false},
		{width(narrow), narrow + 1, true, true},
		{8960, wide + 1, false, false},
		{8960, 8960, false, false},
		{8960, 8961, true, true},
	} {
		only, relayed := c.width.relayOnly(c.size), c.width.relayOnly(c.size) || c.width.relayToo(c.size)
		if only != c.relayOnly || relayed != c.relayed {
			t.Errorf("width %v, %d bytes: through the relay only = %v, at all = %v; want %v and %v", c.width, c.size, only, relayed, c.relayOnly, c.relayed)
		}
	}
}

// TestRungs gives the sizes of messages for the MTU of a route. With the headers of
// IP and UDP they fit, and what is a multiple of 16 bytes fits exactly.
func TestRungs(t *testing.T) {
	const any4, any6 = "192.0.2.1", "2001:db8::1"
	for _, c := range []struct {
		to           string
		mtu, accepts int
		want         []width
	}{
		{any4, 0, 32000, nil},
		{any4, 1340, 32000, nil},
		{any6, 1360, 32000, nil},
		{any4, 1356, 32000, []width{1328}},
		{any4, 1500, 32000, []width{1392, 1424, 1456, 1472}},
		{any6, 1500, 32000, []width{1360, 1408, 1440}},
		{"::ffff:192.0.2.1", 1500, 32000, []width{1392, 1424, 1456, 1472}},
		{any4, 1499, 32000, []width{1392, 1424, 1456}},
		{any4, 9001, 32000, []width{1392, 1424, 1456, 1472, 8864, 8960}},
		{any6, 9000, 32000, []width{1360, 1408, 1440, 8848, 8944}},
		{any4, 65535, 32000, []width{1392, 1424, 1456, 1472, 8864, 8960, 32032}},
		{any4, 65535, 1280, nil},                                   // another implementation
		{any4, 65535, 0, nil},                                      // no connection yet
		{any4, 65535, 1976, []width{1392, 1424, 1456, 1472, 2000}}, // Windows: 2,016 bytes are room for a message
	} {
		got, want := rungs(netip.MustParseAddr(c.to), c.mtu, c.accepts), append([]width{narrow, wide}, c.want...)
		if !slices.Equal(got, want) {
			t.Errorf("rungs(%s, %d, %d) = %v, want %v", c.to, c.mtu, c.accepts, got, want)
		}
		for _, w := range got {
			if padded := (w.packet() + device.PaddingMultiple - 1) &^ (device.PaddingMultiple - 1); padded != w.packet() {
				t.Errorf("rungs(%s, %d, %d): a packet of %d bytes has a message of more than %d", c.to, c.mtu, c.accepts, w.packet(), w)
			}
		}
	}
}

// TestRungsOfANarrowRoute has links for which a packet of 1280 bytes is too large
// with its headers, by one byte at the least.
func TestRungsOfANarrowRoute(t *testing.T) {
	for to, mtu := range map[string]int{"192.0.2.1": 1339, "2001:db8::1": 1359} {
		if got, want := rungs(netip.MustParseAddr(to), mtu, 32000), []width{narrow}; !slices.Equal(got, want) {
			t.Errorf("rungs(%s, %d) = %v, want %v", to, mtu, got, want)
		}
	}
}

func TestWidthTrials(t *testing.T) {
	rungs := []width{narrow, wide, 1472, 8960}
	for _, c := range []struct {
		now  width
		want []width
	}{
		{unknownWidth, []width{narrow, wide}},
		{wide, []width{narrow, wide, 1472, 8960}},
		{1472, []width{narrow, wide, 1472}},
	} {
		if got := c.now.trials(rungs); !slices.Equal(got, c.want) {
			t.Errorf("trials of width %v = %v, want %v", c.now, got, c.want)
		}
	}
}

// TestLooksCostNothingWithoutTraffic says when a look is due at what a path carries.
func TestLooksCostNothingWithoutTraffic(t *testing.T) {
	start := time.Unix(1e9, 0)
	type send struct {
		after       time.Duration // start
		large, size int
		due         bool
	}
	for _, c := range []struct {
		what  string
		width width
		sends []send
	}{
		{"nothing is known: a login", unknownWidth, []send{{0, manyPackets, int(wide), false}}},
		{"a narrow path", narrow, []send{{0, manyPackets, int(wide), false}}},
		{"a wide path", wide, []send{
			{0, manyPackets - 1, int(wide), false},
			{0, 0, 100, false},
			{0, 1, int(wide), true},
			{time.Second, 10 * manyPackets, int(wide), false}, // soon after
			{widenEvery, 0, 100, true},
			{2*widenEvery - 1, manyPackets, int(wide), false},
			{2 * widenEvery, 1, int(wide), true},
			{3 * widenEvery, 1, int(wide), false}, // too few
		}},
		{"one that carries more", 8960, []send{
			{0, 1, 8960, true},
			{lookEvery - 1, 10 * manyPackets, 8960, false},
			{time.Hour, manyPackets, int(wide), false}, // small packets only
			{time.Hour, 1, int(wide) + 1, true},
		}},
	} {
		var s widthState
		s.now.Store(int32(c.width))
		for i, e := range c.sends {
			at := start.Add(e.after)
			got := s.isDue(at, e.large, e.size)
			if got != e.due {
				t.Errorf("%s, send %d: a look is due = %v, want %v", c.what, i, got, e.due)
			}
			if got {
				s.begin(at)
			}
		}
	}
}

// refusing is a network that refuses messages of more than limit bytes, as the kernel
// does when it must cut a batch into such.
type refusing struct {
	conn.Bind
	limit int
	sent  []int
}

func (r *refusing) Send(bufs [][]byte, _ conn.Endpoint, offset int) error {
	for _, b := range bufs {
		if len(b)-offset > r.limit {
			return errors.New("message too long")
		}
	}
	for _, b := range bufs {
		r.sent = append(r.sent, len(b)-offset)
	}
	return nil
}

// TestRefusedMessagesMakeThePathSmaller sends what a path does not take any more:
// the rest goes, and no packet of that size is made again.
func TestRefusedMessagesMakeThePathSmaller(t *testing.T) {
	n := startNode(t, startRelay(t), uuid.New(), nil, func(cfg *Config) { cfg.Self = nil })
	network := &refusing{limit: int(wide)}
	b := &bind{Bind: network, node: n, queue: n.bind.queue}
	p := testPeer(8960)
	const offset = device.MessageEncapsulatingTransportSize
	var bufs [][]byte
	for _, size := range []int{100, 8960, 200, int(wide), 8960} {
		bufs = append(bufs, make([]byte, offset+size))
	}
	if err := b.sendDirect(p, bufs, nil, offset); err != nil {
		t.Errorf("sendDirect = %v, want nil: the large ones go through the relay", err)
	}
	if want := []int{100, 200, int(wide)}; !slices.Equal(network.sent, want) {
		t.Errorf("sizes sent directly = %v, want %v", network.sent, want)
	}
	if got := p.width.load(); got != wide {
		t.Errorf("width = %v, want %v", got, wide)
	}
}

// TestProbesTakeNoOtherWay has messages to be sent through the relay, as they are
// too large for the path or nothing comes back on it. An answer to a probe that
// went there would be taken for one of the path.
func TestProbesTakeNoOtherWay(t *testing.T) {
	n := startNode(t, startRelay(t), uuid.New(), nil, func(cfg *Config) { cfg.Self = nil })
	awaitEcho(t, n)
	const offset = device.MessageEncapsulatingTransportSize
	data, probe := make([]byte, offset+8960), make([]byte, offset+8960)
	binary.LittleEndian.PutUint32(data[offset:], device.MessageTransportType)
	copy(probe, data)
	probe[offset-1] = 0x80
	if !netstack.IsProbe(probe, offset) || netstack.IsProbe(data, offset) {
		t.Fatal("netstack marks probes otherwise")
	}
	p := testPeer(wide)
	p.home = 1
	for what, send := range map[string]func(*bind, *peer, [][]byte, int){"too large": (*bind).sendBig, "nothing comes": (*bind).relayAll} {
		b := &bind{node: n, queue: newRelayQueue(func() int64 { return 0 })}
		send(b, p, [][]byte{data, probe}, offset)
		if got := b.queue.handed; got != 1 {
			t.Errorf("%s: %d messages went to the relay, want 1", what, got)
		}
	}
	if p.noteProbes([][]byte{data, probe}, offset, viaUDP); p.width.astray.Load() != 0 {
		t.Error("a probe on the direct path is astray, want that it is not")
	}
	if p.noteProbes([][]byte{data, probe}, offset, viaUDP|viaRelay); p.width.astray.Load() != 1 {
		t.Errorf("%d probes are astray, want 1", p.width.astray.Load())
	}
}
