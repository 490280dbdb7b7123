package tailnet

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"
	protobuf "google.golang.org/protobuf/proto"
	"tailscale.com/types/key"

	"github.com/berthdev/berth/tailnet/proto"
)

func goodRecord(id uuid.UUID) *proto.Node {
	addresses := prefixStrings(AddressesFor(id))
	return &proto.Node{
		Id: 1, Key: encodeKey(key.NewNode().Public()), Disco: key.NewDisco().Public().String(), PreferredDerp: 1,
		Addresses: addresses, AllowedIps: slices.Clone(addresses), Endpoints: []string{"192.0.2.1:41641"},
	}
}

func TestAddressesFor(t *testing.T) {
	got := prefixStrings(AddressesFor(uuid.MustParse("11223344-5566-7788-99aa-bbccddeeff00")))
	want := []string{"fd7a:115c:a1e0:7788:99aa:bbcc:ddee:ff00/128", "fd60:627a:a42b:7788:99aa:bbcc:ddee:ff00/128"}
	if !slices.Equal(got, want) {
		t.Errorf("AddressesFor = %v, want %v", got, want)
	}
}

func TestBadRecordsAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(n *proto.Node){
		"no key":                  func(n *proto.Node) { n.Key = nil },
		"key without np":          func(n *proto.Node) { n.Key = n.Key[2:] },
		"zero key":                func(n *proto.Node) { n.Key = append([]byte("np"), make([]byte, 32)...) },
		"no disco key":            func(n *proto.Node) { n.Disco = "" },
		"zero disco key":          func(n *proto.Node) { n.Disco = key.DiscoPublic{}.String() },
		"no home relay":           func(n *proto.Node) { n.PreferredDerp = 0 },
		"negative home relay":     func(n *proto.Node) { n.PreferredDerp = -1 },
		"home relay over 65535":   func(n *proto.Node) { n.PreferredDerp = 1 << 16 },
		"no address":              func(n *proto.Node) { n.Addresses, n.AllowedIps = nil, nil },
		"other allowed addresses": func(n *proto.Node) { n.AllowedIps = n.AllowedIps[:1] },
		"a network":               func(n *proto.Node) { both(n, "fd7a:115c:a1e0::/48") },
		"everything":              func(n *proto.Node) { both(n, "::/0") },
		"an address elsewhere":    func(n *proto.Node) { both(n, "2001:db8::1/128") },
		"IPv4":                    func(n *proto.Node) { both(n, "100.64.0.1/32") },
		"text":                    func(n *proto.Node) { both(n, "example.com") },
		"endpoint without port":   func(n *proto.Node) { n.Endpoints = []string{"192.0.2.1"} },
		"endpoint with a name":    func(n *proto.Node) { n.Endpoints = []string{"example.com:1"} },
		"too many endpoints":      func(n *proto.Node) { n.Endpoints = slices.Repeat(n.Endpoints, maxEndpoints+1) },
	} {
		rec := goodRecord(uuid.New())
		spoil(rec)
		if _, err := parseRecord(rec); !errors.Is(err, ErrRecord) {
			t.Errorf("parseRecord with %s = %v, want ErrRecord", name, err)
		}
	}
}

func both(n *proto.Node, address string) {
	n.Addresses, n.AllowedIps = []string{address}, []string{address}
}

func TestUnusableEndpointsAreLeftOut(t *testing.T) {
	rec := goodRecord(uuid.New())
	rec.Endpoints = []string{
		"0.0.0.0:1", "[::]:1", "224.0.0.1:1", "127.3.3.40:1", "192.0.2.1:0", "[fe80::1%eth0]:1",
		"[fd7a:115c:a1e0::1]:1", "[fd60:627a:a42b::1]:1", "[::ffff:192.0.2.7]:5", "[2001:db8::1]:6",
	}
	r, err := parseRecord(rec)
	if err != nil {
		t.Fatalf("parseRecord = %v, want nil", err)
	}
	var got []string
	for _, e := range r.endpoints {
		got = append(got, e.String())
	}
	if want := []string{"192.0.2.7:5", "[2001:db8::1]:6"}; !slices.Equal(got, want) {
		t.Errorf("endpoints = %v, want %v", got, want)
	}
}

func TestSetPeerKeepsWhatBelongsToOthers(t *testing.T) {
	id, other := uuid.New(), uuid.New()
	n, err := New(Config{Addresses: AddressesFor(uuid.New())})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	first := goodRecord(id)
	if err := n.SetPeer(id, first); err != nil {
		t.Fatalf("SetPeer = %v, want nil", err)
	}
	for name, rec := range map[string]*proto.Node{
		"another peer's address": goodRecord(id),
		"our address":            withAddress(goodRecord(other), n.cfg.Addresses[0].String()),
		"another peer's key":     withKey(goodRecord(other), first.Key),
		"our key":                withKey(goodRecord(other), encodeKey(n.public)),
	} {
		if err := n.SetPeer(other, rec); !errors.Is(err, ErrRecord) {
			t.Errorf("SetPeer with %s = %v, want ErrRecord", name, err)
		}
	}
	if n.peer(other) != nil || n.peerByAddr(AddressFor(id)).id != id {
		t.Error("a refused record changed the peers")
	}
	// The same peer with a new key, as after a restart, is taken.
	if err := n.SetPeer(id, goodRecord(id)); err != nil {
		t.Errorf("SetPeer with a new key = %v, want nil", err)
	}
	n.RemovePeer(id)
	if n.peerByAddr(AddressFor(id)) != nil {
		t.Error("the peer is known after RemovePeer")
	}
	n.RemovePeer(id)
}

func withAddress(n *proto.Node, a string) *proto.Node { both(n, a); return n }
func withKey(n *proto.Node, k []byte) *proto.Node     { n.Key = k; return n }

func FuzzParseRecord(f *testing.F) {
	good, _ := protobuf.Marshal(goodRecord(uuid.New()))
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		var n proto.Node
		if protobuf.Unmarshal(b, &n) != nil {
			return
		}
		r, err := parseRecord(&n)
		if err != nil {
			return
		}
		for _, a := range r.addresses {
			if a.Bits() != 128 || !servicePrefix.Contains(a.Addr()) && !vpnPrefix.Contains(a.Addr()) {
				t.Errorf("parseRecord took the address %v", a)
			}
		}
		if r.key.IsZero() || r.disco.IsZero() || r.home <= 0 {
			t.Errorf("parseRecord took %+v", r)
		}
	})
}
