package derpmap

import "tailscale.com/tailcfg"

// Tailcfg returns the map in upstream's form. EmbeddedRelay and ForceHTTP have
// no place there and are lost.
func (m *Map) Tailcfg() *tailcfg.DERPMap {
	out := &tailcfg.DERPMap{OmitDefaultRegions: true, Regions: make(map[int]*tailcfg.DERPRegion, len(m.Regions))}
	if m.HomeParams != nil && len(m.HomeParams.RegionScore) > 0 {
		out.HomeParams = &tailcfg.DERPHomeParams{RegionScore: m.HomeParams.RegionScore}
	}
	for id, r := range m.Regions {
		region := &tailcfg.DERPRegion{RegionID: r.RegionID, RegionCode: r.RegionCode, RegionName: r.RegionName, NoMeasureNoHome: r.Avoid}
		for _, n := range r.Nodes {
			region.Nodes = append(region.Nodes, &tailcfg.DERPNode{
				Name: n.Name, RegionID: n.RegionID, HostName: n.HostName, CertName: n.CertName, IPv4: n.IPv4, IPv6: n.IPv6,
				STUNPort: n.STUNPort, STUNOnly: n.STUNOnly, DERPPort: n.DERPPort, InsecureForTests: n.InsecureForTests,
				STUNTestIP: n.STUNTestIP, CanPort80: n.CanPort80,
			})
		}
		out.Regions[id] = region
	}
	return out
}
