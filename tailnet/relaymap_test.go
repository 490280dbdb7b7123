package tailnet

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"tailscale.com/tailcfg"

	"github.com/berthdev/berth/tailnet/derpmap"
)

func TestUpstreamMap(t *testing.T) {
	m := &derpmap.Map{Regions: map[int]*derpmap.Region{
		999: {RegionID: 999, EmbeddedRelay: true, RegionCode: "main", Nodes: []*derpmap.Node{
			{Name: "999b", RegionID: 999, HostName: "berth.example", DERPPort: 7080, STUNPort: -1, ForceHTTP: true, CertName: pinPrefix + "aa"},
		}},
		1000: {RegionID: 1000, Nodes: []*derpmap.Node{
			{Name: "1000stun0", RegionID: 1000, HostName: "stun.example", STUNPort: 19302, STUNOnly: true},
		}},
		7: {RegionID: 7, RegionCode: "far", Avoid: true, Nodes: []*derpmap.Node{
			{Name: "7a", RegionID: 7, HostName: "far.example", STUNPort: 3478},
		}},
	}}
	got := upstreamMap(m, map[relayID]relayPlan{
		{999, "999b"}: {way: wayGiven, addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}},
		{7, "7a"}:     {way: wayBridge, bridge: bridgeAddr{host: "x.bridge.invalid", pin: "bb", port: 5}},
	})
	stun := func(region int) *tailcfg.DERPNode {
		return &tailcfg.DERPNode{Name: "1000stun0", RegionID: region, HostName: "stun.example", STUNPort: 19302, STUNOnly: true}
	}
	want := &tailcfg.DERPMap{OmitDefaultRegions: true, Regions: map[int]*tailcfg.DERPRegion{
		999: {RegionID: 999, RegionCode: "main", Nodes: []*tailcfg.DERPNode{
			stun(999),
			{Name: "999b", RegionID: 999, HostName: "192.0.2.1", IPv4: "192.0.2.1", IPv6: "2001:db8::1", DERPPort: 7080, STUNPort: -1, CertName: pinPrefix + "aa"},
		}},
		7: {RegionID: 7, RegionCode: "far", NoMeasureNoHome: true, Nodes: []*tailcfg.DERPNode{
			{Name: "7a-stun", RegionID: 7, HostName: "far.example", STUNPort: 3478, STUNOnly: true},
			stun(7),
			{Name: "7a", RegionID: 7, HostName: "x.bridge.invalid", IPv4: "127.0.0.1", IPv6: "none", DERPPort: 5, STUNPort: -1, CertName: pinPrefix + "bb"},
		}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("upstreamMap differs (-want +got):\n%s", diff)
	}
	if home := firstHome(m); home != 999 {
		t.Errorf("firstHome = %d, want 999", home)
	}
}

// TestNobodyAnswersSTUN: upstream must have somebody to send to.
func TestNobodyAnswersSTUN(t *testing.T) {
	relay := &derpmap.Node{Name: "1a", RegionID: 1, HostName: "relay.example", STUNPort: -1}
	got := upstreamMap(&derpmap.Map{Regions: map[int]*derpmap.Region{1: {RegionID: 1, Nodes: []*derpmap.Node{relay}}}}, nil)
	want := []*tailcfg.DERPNode{
		{Name: "1-silent", RegionID: 1, HostName: "silent.invalid", IPv4: "127.0.0.1", IPv6: "none", STUNPort: 9, STUNOnly: true},
		{Name: "1a", RegionID: 1, HostName: "relay.example", STUNPort: -1},
	}
	if diff := cmp.Diff(want, got.Regions[1].Nodes); diff != "" {
		t.Errorf("nodes without STUN differ (-want +got):\n%s", diff)
	}
}

func TestFirstWay(t *testing.T) {
	pin := pinPrefix + "aa"
	for _, tt := range []struct {
		name string
		node derpmap.Node
		cfg  Config
		want way
	}{
		{"TLS", derpmap.Node{}, Config{}, wayGiven},
		{"plain HTTP", derpmap.Node{ForceHTTP: true}, Config{}, wayBridge},
		{"plain HTTP with a pin", derpmap.Node{ForceHTTP: true, CertName: pin}, Config{}, wayGiven},
		{"headers", derpmap.Node{CertName: pin}, Config{Header: http.Header{"A": {"b"}}}, wayBridge},
		{"a certificate of ours", derpmap.Node{CertName: pin}, Config{TLS: &tls.Config{}}, wayBridge},
		{"plain HTTP with a certificate of ours", derpmap.Node{ForceHTTP: true, CertName: pin}, Config{TLS: &tls.Config{}}, wayGiven},
		{"WebSockets", derpmap.Node{CertName: pin}, Config{ForceWebSockets: true}, wayBridge},
	} {
		if got := firstWay(&tt.node, &tt.cfg); got != tt.want {
			t.Errorf("%s: firstWay = %v, want %v", tt.name, got, tt.want)
		}
	}
}
