package derpmap

import (
	"encoding/json"
	"errors"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	tailnetproto "github.com/berthdev/berth/tailnet/proto"
)

func embedded() *Map {
	return &Map{
		HomeParams: &HomeParams{RegionScore: map[int]float64{999: 0.5}},
		Regions: map[int]*Region{
			999: {RegionID: 999, EmbeddedRelay: true, RegionCode: "berth", RegionName: "Berth", Nodes: []*Node{
				{Name: "999b", RegionID: 999, HostName: "old.example", DERPPort: 443, STUNPort: -1, CertName: "sha256-raw:00"},
				{Name: "999s", RegionID: 999, HostName: "stun.example", STUNPort: 3478, STUNOnly: true},
			}},
			7: {RegionID: 7, RegionCode: "far", Avoid: true, Nodes: []*Node{{Name: "7a", RegionID: 7, HostName: "far.example", IPv4: "192.0.2.1", IPv6: "none", CanPort80: true}}},
		},
	}
}

func TestProtoKeepsEveryField(t *testing.T) {
	m := embedded()
	if diff := cmp.Diff(m, FromProto(m.Proto())); diff != "" {
		t.Errorf("FromProto(m.Proto()) differs (-want +got):\n%s", diff)
	}
	if (&Map{}).Proto().HomeParams == nil {
		t.Error("Proto of an empty map has no home_params, which existing peers dereference")
	}
}

func TestJSONIsThatOfTheReference(t *testing.T) {
	m := &Map{HomeParams: &HomeParams{}, Regions: map[int]*Region{999: {EmbeddedRelay: true, RegionID: 999, RegionCode: "coder", RegionName: "R", Nodes: []*Node{{Name: "999b", RegionID: 999, HostName: "h", STUNPort: -1, DERPPort: 443, ForceHTTP: true}}}}}
	got, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"HomeParams":{},"Regions":{"999":{"EmbeddedRelay":true,"RegionID":999,"RegionCode":"coder","RegionName":"R","Nodes":[{"Name":"999b","RegionID":999,"HostName":"h","STUNPort":-1,"DERPPort":443,"ForceHTTP":true}]}},"omitDefaultRegions":false}`
	if string(got) != want {
		t.Errorf("Marshal = %s\nwant %s", got, want)
	}
}

func TestViaRewritesEmbeddedRelaysOnly(t *testing.T) {
	for access, want := range map[string]Node{
		"http://ws.example:7080": {HostName: "ws.example", DERPPort: 7080, ForceHTTP: true},
		"http://ws.example":      {HostName: "ws.example", DERPPort: 80, ForceHTTP: true},
		"https://[2001:db8::1]":  {HostName: "2001:db8::1", DERPPort: 443},
	} {
		u, _ := url.Parse(access)
		m := embedded()
		got, err := m.Via(u)
		if err != nil {
			t.Fatal(err)
		}
		n := got.Regions[999].Nodes[0]
		if n.HostName != want.HostName || n.DERPPort != want.DERPPort || n.ForceHTTP != want.ForceHTTP {
			t.Errorf("Via(%s): node %+v, want %+v", access, *n, want)
		}
		if diff := cmp.Diff(m.Regions[7], got.Regions[7]); diff != "" {
			t.Errorf("Via(%s) changed a relay that is not embedded:\n%s", access, diff)
		}
		if m.Regions[999].Nodes[0].HostName != "old.example" {
			t.Errorf("Via(%s) changed its receiver", access)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	if err := embedded().Check(); err != nil {
		t.Errorf("Check of a good map = %v", err)
	}
	stunOnly := embedded()
	delete(stunOnly.Regions, 7)
	stunOnly.Regions[999].Nodes = stunOnly.Regions[999].Nodes[1:]
	if err := stunOnly.Check(); !errors.Is(err, ErrNoRelay) {
		t.Errorf("Check of a map with STUN only = %v, want ErrNoRelay", err)
	}
	for name, spoil := range map[string]func(*Map){
		"region id": func(m *Map) { m.Regions[999].RegionID = 1 },
		"node id":   func(m *Map) { m.Regions[999].Nodes[0].RegionID = 1 },
		"port":      func(m *Map) { m.Regions[999].Nodes[0].DERPPort = 70000 },
		"nil":       func(m *Map) { m.Regions[999] = nil },
	} {
		m := embedded()
		spoil(m)
		if err := m.Check(); err == nil {
			t.Errorf("Check of a map with a bad %s = nil, want an error", name)
		}
	}
}

func FuzzFromProto(f *testing.F) {
	seed, _ := proto.Marshal(embedded().Proto())
	f.Add(seed)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var p tailnetproto.DERPMap
		if proto.Unmarshal(raw, &p) != nil {
			return
		}
		if m := FromProto(&p); m.Check() == nil {
			m.Tailcfg()
			m.Clone()
		}
	})
}
