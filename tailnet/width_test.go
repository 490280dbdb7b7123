package tailnet

import (
	"log/slog"
	"net/netip"
	"testing"
)

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
		p := &peer{peerState: &peerState{}}
		p.endpoint.Store(&now)
		p.path.swap(c.path)
		if settled := n.settleWidth(p, c.at, narrow); p.width.load() != c.want || settled != (c.want != unknownWidth) {
			t.Errorf("%s: settled = %v, width %v; want %v", c.what, settled, p.width.load(), c.want)
		}
	}
}

func TestWidthVerdict(t *testing.T) {
	for _, c := range []struct {
		what   string
		large  bool
		small  int
		astray bool
		want   width
	}{
		{"a large ping is answered", true, 0, false, wide},
		{"one is answered that a relay may have carried", true, 6, true, unknownWidth},
		{"only small ones are answered", false, 6, false, narrow},
		{"few are answered: packets get lost", false, 2, false, unknownWidth},
		{"a relay carried what was not answered", false, 6, true, unknownWidth},
		{"nothing is answered", false, 0, false, unknownWidth},
	} {
		if got := verdict(c.large, c.small, c.astray); got != c.want {
			t.Errorf("%s: verdict = %v, want %v", c.what, got, c.want)
		}
	}
}

// TestWidthDecidesTheWay says for each size of a message whether it may go
// directly, and whether it goes through the relay.
func TestWidthDecidesTheWay(t *testing.T) {
	for _, c := range []struct {
		width              width
		size               int
		relayOnly, relayed bool
	}{
		{unknownWidth, narrowMessage, false, false},
		{unknownWidth, directMessage, false, true},
		{unknownWidth, probeMessage, false, false},
		{wide, directMessage, false, false},
		{wide, directMessage + 1, true, true},
		{narrow, narrowMessage, false, false},
		{narrow, narrowMessage + 1, true, true},
		{narrow, probeMessage, false, false},
	} {
		only, relayed := c.width.relayOnly(c.size), c.width.relayOnly(c.size) || c.width.relayToo(c.size)
		if only != c.relayOnly || relayed != c.relayed {
			t.Errorf("width %v, %d bytes: through the relay only = %v, at all = %v; want %v and %v", c.width, c.size, only, relayed, c.relayOnly, c.relayed)
		}
	}
}
