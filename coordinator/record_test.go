package coordinator

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/uuid"
	pb "google.golang.org/protobuf/proto"

	"github.com/berthdev/berth/tailnet/proto"
)

func TestAddressesFollowFromTheID(t *testing.T) {
	id := uuid.MustParse("11223344-5566-7788-99aa-bbccddeeff00")
	want := [2]netip.Addr{
		netip.MustParseAddr("fd60:627a:a42b:7788:99aa:bbcc:ddee:ff00"),
		netip.MustParseAddr("fd7a:115c:a1e0:7788:99aa:bbcc:ddee:ff00"),
	}
	if got := AgentAddresses(id); got != want {
		t.Errorf("AgentAddresses(%s) = %v, want %v", id, got, want)
	}
	if got := NodeID(uuid.UUID{8: 0x80}); got < 0 {
		t.Errorf("NodeID of the smallest number = %d, want it positive", got)
	}
	if got := NodeID(uuid.UUID{8: 0xff, 9: 0xff, 10: 0xff, 11: 0xff, 12: 0xff, 13: 0xff, 14: 0xff, 15: 0xfe}); got != 2 {
		t.Errorf("NodeID of -2 = %d, want 2", got)
	}
}

func TestRecordsAreChecked(t *testing.T) {
	set := func(addrs ...string) func(*proto.Node) {
		return func(n *proto.Node) { n.Addresses, n.AllowedIps = addrs, addrs }
	}
	keep := func(*proto.Node) {}
	own := AgentAddresses(testID("a"))
	for name, tt := range map[string]struct {
		peer  string
		spoil func(*proto.Node)
		want  string // in the error; "" means none
	}{
		"agent":                          {"a", keep, ""},
		"client":                         {"c", keep, ""},
		"agent with all its addresses":   {"a", set(own[0].String()+"/128", own[1].String()+"/128", legacyAddr.String()+"/128"), ""},
		"client in the desktop prefix":   {"c", set("fd60:627a:a42b::99/128"), ""},
		"no home yet":                    {"a", func(n *proto.Node) { n.PreferredDerp = 0 }, ""},
		"link-local endpoint":            {"a", func(n *proto.Node) { n.Endpoints = []string{"[fe80::1%eth0]:5"} }, ""},
		"another agent's address":        {"a", set(AgentAddresses(testID("b"))[0].String() + "/128"), "not this peer's"},
		"client outside the prefixes":    {"c", set("fd7a:115c:a1e1::1/128"), "not this peer's"},
		"client with the public address": {"c", set("192.0.2.1/32"), "not a /128"},
		"client with the old address":    {"c", set(legacyAddr.String() + "/128"), "not this peer's"},
		"a whole prefix":                 {"c", set("fd7a:115c:a1e0::/48"), "not a /128"},
		"mapped address":                 {"c", set("::ffff:192.0.2.1/128"), "not this peer's"},
		"no addresses":                   {"c", set(), "addresses"},
		"too many addresses":             {"c", set(strings.Split(strings.Repeat("fd7a:115c:a1e0::1/128 ", 9), " ")...), "addresses"},
		"more allowed than addresses":    {"c", func(n *proto.Node) { n.AllowedIps = append(n.AllowedIps, "::/0") }, "differ"},
		"short key":                      {"a", func(n *proto.Node) { n.Key = n.Key[:33] }, "node key"},
		"zero key":                       {"a", func(n *proto.Node) { n.Key = append([]byte("np"), make([]byte, 32)...) }, "node key"},
		"other prefix of the key":        {"a", func(n *proto.Node) { n.Key[0] = 'x' }, "node key"},
		"short disco key":                {"a", func(n *proto.Node) { n.Disco = "discokey:00" }, "disco"},
		"negative home":                  {"a", func(n *proto.Node) { n.PreferredDerp = -1 }, "home"},
		"endpoint without port":          {"a", func(n *proto.Node) { n.Endpoints = []string{"192.0.2.1"} }, "endpoint"},
		"endpoint by name":               {"a", func(n *proto.Node) { n.Endpoints = []string{"localhost:1"} }, "endpoint"},
		"long endpoint":                  {"a", func(n *proto.Node) { n.Endpoints = []string{"[fe80::1%" + strings.Repeat("e", 200) + "]:5"} }, "endpoint"},
		"too many endpoints":             {"a", func(n *proto.Node) { n.Endpoints = make([]string, maxEndpoints+1) }, "endpoints"},
		"huge":                           {"a", func(n *proto.Node) { n.DerpForcedWebsocket = map[int32]string{1: strings.Repeat("x", maxNodeBytes)} }, "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			n := testNode(tt.peer, tt.peer)
			tt.spoil(n)
			err := checkNode(testID(tt.peer), testRole(tt.peer), n)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("checkNode = %v, want %q", err, tt.want)
			}
		})
	}
}

func FuzzRecord(f *testing.F) {
	for _, peer := range []string{"a", "c"} {
		raw, err := pb.Marshal(testNode(peer, peer))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, peer := range []string{"a", "c"} {
			var n proto.Node
			if pb.Unmarshal(raw, &n) != nil || checkNode(testID(peer), testRole(peer), &n) != nil {
				return
			}
			if n.Id != NodeID(testID(peer)) {
				t.Errorf("id = %d, want that of the peer", n.Id)
			}
			if len(claimsOf(&n)) == 0 {
				t.Error("a good record claims nothing, not even its key")
			}
			for _, a := range n.AllowedIps {
				p := netip.MustParsePrefix(a)
				if !p.IsSingleIP() || !mayUse(testID(peer), testRole(peer), p.Addr()) {
					t.Errorf("allowed %v to %s", p, peer)
				}
			}
		}
	})
}
