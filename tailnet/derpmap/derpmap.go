// Package derpmap holds the map of relays in the form that the REST API and
// the tailnet service share. It differs from tailcfg.DERPMap in two fields
// that existing clients rely on and upstream lacks: EmbeddedRelay (the relay
// is the server itself, so that each peer reaches it by the URL that it uses
// for the server) and ForceHTTP (the relay is spoken to without TLS).
//
// What a node makes of the map (which relay it picks, how it dials it) is the
// duty of package tailnet.
package derpmap

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/berthdev/berth/tailnet/proto"
)

// DefaultSTUNPort is the UDP port of STUN where a node names none (RFC 8489).
const DefaultSTUNPort = 3478

// Map lists the relays by region id. Its JSON form is that of tailcfg.DERPMap
// plus the two fields named in the package comment.
type Map struct {
	HomeParams         *HomeParams     `json:"HomeParams,omitempty"`
	Regions            map[int]*Region `json:"Regions"`
	OmitDefaultRegions bool            `json:"omitDefaultRegions"`
}

// HomeParams influences the choice of a home region.
type HomeParams struct {
	// RegionScore multiplies the measured latency of a region.
	RegionScore map[int]float64 `json:"RegionScore,omitempty"`
}

// Region is a set of relays that are meshed or the same.
type Region struct {
	EmbeddedRelay bool    `json:"EmbeddedRelay,omitempty"`
	RegionID      int     `json:"RegionID"`
	RegionCode    string  `json:"RegionCode"`
	RegionName    string  `json:"RegionName"`
	Avoid         bool    `json:"Avoid,omitempty"`
	Nodes         []*Node `json:"Nodes"`
}

// Node is one relay, or only a STUN server if STUNOnly is set.
type Node struct {
	Name     string `json:"Name"`
	RegionID int    `json:"RegionID"`
	HostName string `json:"HostName"`
	// CertName replaces HostName in the check of the relay's certificate;
	// "sha256-raw:<hex>" pins the certificate itself.
	CertName string `json:"CertName,omitempty"`
	IPv4     string `json:"IPv4,omitempty"`
	IPv6     string `json:"IPv6,omitempty"`
	// STUNPort: 0 means DefaultSTUNPort, -1 means no STUN.
	STUNPort         int    `json:"STUNPort,omitempty"`
	STUNOnly         bool   `json:"STUNOnly,omitempty"`
	DERPPort         int    `json:"DERPPort,omitempty"` // 0 means 443
	InsecureForTests bool   `json:"InsecureForTests,omitempty"`
	ForceHTTP        bool   `json:"ForceHTTP,omitempty"`
	STUNTestIP       string `json:"STUNTestIP,omitempty"`
	CanPort80        bool   `json:"CanPort80,omitempty"`
}

// ErrNoRelay reports a map without any relay that carries packets.
var ErrNoRelay = errors.New("the map has no relay")

// Check reports what makes the map unusable: a region or node whose ids do not
// match, a port out of range, or no relay at all (ErrNoRelay).
func (m *Map) Check() error {
	relays := 0
	for id, r := range m.Regions {
		if r == nil || id <= 0 || r.RegionID != id {
			return fmt.Errorf("region %d: its id does not match", id)
		}
		for _, n := range r.Nodes {
			if n == nil || n.RegionID != id {
				return fmt.Errorf("region %d: a node of another region", id)
			}
			if n.DERPPort < 0 || n.DERPPort > 65535 || n.STUNPort < -1 || n.STUNPort > 65535 {
				return fmt.Errorf("node %.40q: port out of range", n.Name)
			}
			if !n.STUNOnly {
				relays++
			}
		}
	}
	if relays == 0 {
		return ErrNoRelay
	}
	return nil
}

// Clone returns a deep copy.
func (m *Map) Clone() *Map {
	if m == nil {
		return nil
	}
	out := &Map{OmitDefaultRegions: m.OmitDefaultRegions, Regions: make(map[int]*Region, len(m.Regions))}
	if m.HomeParams != nil {
		out.HomeParams = &HomeParams{RegionScore: map[int]float64{}}
		for id, score := range m.HomeParams.RegionScore {
			out.HomeParams.RegionScore[id] = score
		}
	}
	for id, r := range m.Regions {
		region := *r
		region.Nodes = make([]*Node, len(r.Nodes))
		for i, n := range r.Nodes {
			node := *n
			region.Nodes[i] = &node
		}
		out.Regions[id] = &region
	}
	return out
}

// Via returns a copy in which every embedded relay is reached at the host,
// port and scheme of access, the URL that the caller uses for the server.
// Nodes that only answer STUN keep their port and take the host too when they
// belong to an embedded region.
func (m *Map) Via(access *url.URL) (*Map, error) {
	port, err := portOf(access)
	if err != nil {
		return nil, err
	}
	out := m.Clone()
	for _, r := range out.Regions {
		if !r.EmbeddedRelay {
			continue
		}
		for _, n := range r.Nodes {
			if n.STUNOnly {
				continue
			}
			n.HostName = access.Hostname()
			n.DERPPort = port
			n.ForceHTTP = access.Scheme == "http"
		}
	}
	return out, nil
}

func portOf(u *url.URL) (int, error) {
	switch {
	case u.Port() != "":
		return strconv.Atoi(u.Port())
	case u.Scheme == "http":
		return 80, nil
	case u.Scheme == "https":
		return 443, nil
	}
	return 0, fmt.Errorf("access URL has the scheme %q, want http or https", u.Scheme)
}

// Proto returns the map as the tailnet service sends it.
func (m *Map) Proto() *proto.DERPMap {
	out := &proto.DERPMap{
		HomeParams: &proto.DERPMap_HomeParams{RegionScore: map[int64]float64{}},
		Regions:    make(map[int64]*proto.DERPMap_Region, len(m.Regions)),
	}
	if m.HomeParams != nil {
		for id, score := range m.HomeParams.RegionScore {
			out.HomeParams.RegionScore[int64(id)] = score
		}
	}
	for id, r := range m.Regions {
		region := &proto.DERPMap_Region{
			RegionId: int64(r.RegionID), EmbeddedRelay: r.EmbeddedRelay, RegionCode: r.RegionCode,
			RegionName: r.RegionName, Avoid: r.Avoid,
		}
		for _, n := range r.Nodes {
			region.Nodes = append(region.Nodes, &proto.DERPMap_Region_Node{
				Name: n.Name, RegionId: int64(n.RegionID), HostName: n.HostName, CertName: n.CertName,
				Ipv4: n.IPv4, Ipv6: n.IPv6, StunPort: int32(n.STUNPort), StunOnly: n.STUNOnly,
				DerpPort: int32(n.DERPPort), InsecureForTests: n.InsecureForTests, ForceHttp: n.ForceHTTP,
				StunTestIp: n.STUNTestIP, CanPort_80: n.CanPort80,
			})
		}
		out.Regions[int64(id)] = region
	}
	return out
}

// FromProto returns the map that the tailnet service sent; nil gives an empty
// map. Call Check before use: the bytes came from outside.
func FromProto(p *proto.DERPMap) *Map {
	out := &Map{HomeParams: &HomeParams{}, Regions: map[int]*Region{}}
	if scores := p.GetHomeParams().GetRegionScore(); len(scores) > 0 {
		out.HomeParams.RegionScore = make(map[int]float64, len(scores))
		for id, score := range scores {
			out.HomeParams.RegionScore[int(id)] = score
		}
	}
	for id, r := range p.GetRegions() {
		region := &Region{
			RegionID: int(r.GetRegionId()), EmbeddedRelay: r.GetEmbeddedRelay(), RegionCode: r.GetRegionCode(),
			RegionName: r.GetRegionName(), Avoid: r.GetAvoid(),
		}
		for _, n := range r.GetNodes() {
			region.Nodes = append(region.Nodes, &Node{
				Name: n.GetName(), RegionID: int(n.GetRegionId()), HostName: n.GetHostName(), CertName: n.GetCertName(),
				IPv4: n.GetIpv4(), IPv6: n.GetIpv6(), STUNPort: int(n.GetStunPort()), STUNOnly: n.GetStunOnly(),
				DERPPort: int(n.GetDerpPort()), InsecureForTests: n.GetInsecureForTests(), ForceHTTP: n.GetForceHttp(),
				STUNTestIP: n.GetStunTestIp(), CanPort80: n.GetCanPort_80(),
			})
		}
		out.Regions[int(id)] = region
	}
	return out
}
