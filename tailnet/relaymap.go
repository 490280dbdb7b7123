package tailnet

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"tailscale.com/tailcfg"

	"github.com/berthdev/berth/tailnet/derpmap"
)

// pinPrefix in a CertName pins the certificate itself.
const pinPrefix = "sha256-raw:"

// way is how a relay is reached.
type way int

const (
	wayGiven  way = iota // by upstream, TLS, the certificate checked as the map says
	wayPublic            // by upstream, TLS, the certificate checked by name: something in front of the relay ends TLS
	wayBridge            // through a bridge in this process
)

// relayID names a relay within a map.
type relayID struct {
	region int
	name   string
}

// relayPlan is what was decided about one relay.
type relayPlan struct {
	way       way
	addresses []netip.Addr // of its host, for a pinned certificate
	bridge    bridgeAddr   // for wayBridge
}

// bridgeAddr is where a bridge listens.
type bridgeAddr struct {
	host string // name in its certificate, secret
	pin  string // hash of its certificate
	port int
}

// firstWay is how the relay n is tried first: upstream only speaks TLS, trusts
// what the system trusts, sends no headers, shows no certificate and knows no
// proxy.
func firstWay(n *derpmap.Node, cfg *Config) way {
	pinned := strings.HasPrefix(n.CertName, pinPrefix)
	if cfg.ForceWebSockets || len(cfg.Header) > 0 || n.ForceHTTP && !pinned || !n.ForceHTTP && (cfg.TLS != nil || proxied(n)) {
		return wayBridge
	}
	return wayGiven
}

// proxied reports whether the environment names a proxy for TLS to n.
func proxied(n *derpmap.Node) bool {
	to := &url.URL{Scheme: "https", Host: net.JoinHostPort(n.HostName, strconv.Itoa(portOf(n)))}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: to})
	return proxy != nil || err != nil
}

// upstreamMap gives m the form that magicsock takes. A region that only
// answers STUN becomes part of each region with a relay: upstream would take it
// for a home.
func upstreamMap(m *derpmap.Map, plans map[relayID]relayPlan) *tailcfg.DERPMap {
	out := &tailcfg.DERPMap{OmitDefaultRegions: true, Regions: map[int]*tailcfg.DERPRegion{}}
	if m.HomeParams != nil {
		out.HomeParams = &tailcfg.DERPHomeParams{RegionScore: maps.Clone(m.HomeParams.RegionScore)}
	}
	for _, id := range slices.Sorted(maps.Keys(m.Regions)) {
		if r := m.Regions[id]; hasRelay(r) {
			out.Regions[id] = upstreamRegion(r, plans)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.Regions)) {
		if r := m.Regions[id]; !hasRelay(r) {
			for _, to := range out.Regions {
				to.Nodes = append(to.Nodes, stunNodes(r, to.RegionID)...)
			}
		}
	}
	for _, r := range out.Regions {
		if !slices.ContainsFunc(r.Nodes, func(n *tailcfg.DERPNode) bool { return n.STUNPort >= 0 }) {
			r.Nodes = append(r.Nodes, silentSTUN(r.RegionID))
		}
		// The first node is asked first: let it be one that answers STUN.
		slices.SortStableFunc(r.Nodes, func(a, b *tailcfg.DERPNode) int { return stunOrder(a) - stunOrder(b) })
	}
	return out
}

// silentSTUN is asked where nobody answers STUN: port discard of the machine
// itself. A measurement that has nobody to send to is taken for a broken socket
// by upstream, which then makes new ones, forgets all direct paths and leaves
// relays that it reaches over loopback, every half minute.
func silentSTUN(region int) *tailcfg.DERPNode {
	return &tailcfg.DERPNode{
		Name: fmt.Sprint(region, "-silent"), RegionID: region, HostName: "silent.invalid",
		IPv4: "127.0.0.1", IPv6: "none", STUNPort: 9, STUNOnly: true,
	}
}

func stunOrder(n *tailcfg.DERPNode) int {
	if n.STUNPort < 0 {
		return 1
	}
	return 0
}

func hasRelay(r *derpmap.Region) bool {
	return slices.ContainsFunc(r.Nodes, func(n *derpmap.Node) bool { return !n.STUNOnly })
}

func upstreamRegion(r *derpmap.Region, plans map[relayID]relayPlan) *tailcfg.DERPRegion {
	out := &tailcfg.DERPRegion{RegionID: r.RegionID, RegionCode: r.RegionCode, RegionName: r.RegionName, NoMeasureNoHome: r.Avoid}
	for _, n := range r.Nodes {
		node := upstreamNode(n, r.RegionID)
		plan := plans[relayID{r.RegionID, n.Name}]
		switch {
		case n.STUNOnly:
		case plan.way == wayBridge:
			if n.STUNPort >= 0 {
				stun := *node
				stun.Name, stun.STUNOnly, stun.DERPPort, stun.CertName = n.Name+"-stun", true, 0, ""
				out.Nodes = append(out.Nodes, &stun)
			}
			node = bridgeNode(n, r.RegionID, plan.bridge)
		case plan.way == wayPublic:
			node.CertName = ""
		case len(plan.addresses) > 0:
			pinAddresses(node, plan.addresses)
		}
		out.Nodes = append(out.Nodes, node)
	}
	return out
}

func upstreamNode(n *derpmap.Node, region int) *tailcfg.DERPNode {
	return &tailcfg.DERPNode{
		Name: n.Name, RegionID: region, HostName: n.HostName, CertName: n.CertName, IPv4: n.IPv4, IPv6: n.IPv6,
		STUNPort: n.STUNPort, STUNOnly: n.STUNOnly, DERPPort: n.DERPPort, InsecureForTests: n.InsecureForTests,
		STUNTestIP: n.STUNTestIP, CanPort80: n.CanPort80,
	}
}

func bridgeNode(n *derpmap.Node, region int, b bridgeAddr) *tailcfg.DERPNode {
	return &tailcfg.DERPNode{
		Name: n.Name, RegionID: region, HostName: b.host, CertName: pinPrefix + b.pin,
		IPv4: "127.0.0.1", IPv6: "none", DERPPort: b.port, STUNPort: -1,
	}
}

// pinAddresses makes upstream dial addresses and compare nothing but the pin:
// the pinned certificate carries another name than the host that we use, and
// a host that is an address is not compared.
func pinAddresses(n *tailcfg.DERPNode, addresses []netip.Addr) {
	n.HostName, n.IPv4, n.IPv6 = addresses[0].String(), "none", "none"
	for _, a := range addresses {
		switch {
		case a.Is4() && n.IPv4 == "none":
			n.IPv4 = a.String()
		case a.Is6() && n.IPv6 == "none":
			n.IPv6 = a.String()
		}
	}
}

// stunNodes gives the nodes of a region without relay to another region.
func stunNodes(r *derpmap.Region, region int) []*tailcfg.DERPNode {
	var out []*tailcfg.DERPNode
	for _, n := range r.Nodes {
		if n.STUNPort >= 0 {
			out = append(out, upstreamNode(n, region))
		}
	}
	return out
}

// firstHome picks the region to use before anything was measured: the server's
// own relay, which we can reach since we reached the server, else the lowest id.
func firstHome(m *derpmap.Map) int {
	best := 0
	rank := func(id int) (n int) {
		if m.Regions[id].Avoid {
			n += 2
		}
		if !m.Regions[id].EmbeddedRelay {
			n++
		}
		return n
	}
	for _, id := range slices.Sorted(maps.Keys(m.Regions)) {
		if hasRelay(m.Regions[id]) && (best == 0 || rank(id) < rank(best)) {
			best = id
		}
	}
	return best
}
