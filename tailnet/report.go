package tailnet

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/berthdev/berth/tailnet/derpmap"
)

// smallMTU is what a packet of WireGuard with the 1280 bytes of our own needs: 40
// for IPv6, 8 for UDP and 32 for WireGuard on top.
const smallMTU = 1280 + 80

// Severities of a report.
const (
	severityOK      = "ok"
	severityWarning = "warning"
	severityError   = "error"
)

// Report is what the network of a node permits, in the shape that editors read
// (reference: clients §1d).
type Report struct {
	DERP       RelaysReport     `json:"derp"`
	Interfaces InterfacesReport `json:"interfaces"`
}

type reportWarning struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// RelaysReport is the part of a Report about relays, and what they saw.
type RelaysReport struct {
	Severity string               `json:"severity"`
	Warnings []reportWarning      `json:"warnings"`
	Regions  map[int]regionReport `json:"regions"`
	Netcheck *netcheckResult      `json:"netcheck,omitempty"`
	Error    string               `json:"netcheck_err,omitempty"`
}

type regionReport struct {
	Severity string       `json:"severity"`
	Error    string       `json:"error,omitempty"`
	Region   regionName   `json:"region"`
	Nodes    []nodeReport `json:"node_reports"`
}

type regionName struct {
	RegionID      int
	RegionName    string
	EmbeddedRelay bool
}

type nodeReport struct {
	CanExchange bool     `json:"can_exchange_messages"`
	RoundTrip   int64    `json:"round_trip_ping_ms"`
	STUN        stunInfo `json:"stun"`
	Node        nodeKind `json:"node"`
}

type stunInfo struct{ Enabled, CanSTUN bool }

type nodeKind struct{ STUNOnly bool }

type netcheckResult struct {
	UDP, IPv4, IPv6       bool
	MappingVariesByDestIP *bool
	HairPinning           *bool // never known: nobody can use it
	UPnP, PMP, PCP        *bool
	PreferredDERP         int
	RegionLatency         map[int]time.Duration // in nanoseconds
}

// InterfacesReport is the part about interfaces of this machine that are up.
type InterfacesReport struct {
	Severity   string            `json:"severity"`
	Warnings   []reportWarning   `json:"warnings"`
	Error      string            `json:"error,omitempty"`
	Interfaces []interfaceReport `json:"interfaces"`
}

type interfaceReport struct {
	Name      string   `json:"name"`
	MTU       int      `json:"mtu"`
	Addresses []string `json:"addresses"`
}

// Report measures the network, and says what of it is not well. It blocks as
// Measure does. What could not be measured before ctx ended is an error in it.
func (n *Node) Report(ctx context.Context) Report {
	m, err := n.Measure(ctx)
	return Report{DERP: reportRelays(n.relays.current(), m, err, n.Home(), n.RelayConnected()), Interfaces: reportInterfaces()}
}

// reportRelays judges what was measured: a home relay that does not answer is an
// error, as nobody reaches the agent then.
func reportRelays(relays *derpmap.Map, m Measurement, err error, home int, connected bool) RelaysReport {
	r := RelaysReport{Severity: severityOK, Regions: map[int]regionReport{}}
	if err != nil {
		r.Severity, r.Error = severityError, err.Error()
	} else {
		r.Netcheck = &netcheckResult{
			UDP: m.UDP, IPv4: m.IPv4, IPv6: m.IPv6, MappingVariesByDestIP: m.MappingVariesByDestIP, UPnP: m.UPnP, PMP: m.PMP, PCP: m.PCP,
			PreferredDERP: m.PreferredDERP, RegionLatency: m.RegionLatency,
		}
	}
	for _, id := range slices.Sorted(maps.Keys(relays.Regions)) {
		region := relays.Regions[id]
		latency, answered := m.RegionLatency[id]
		report := regionReport{Severity: severityOK, Region: regionName{id, region.RegionName, region.EmbeddedRelay}}
		switch {
		case stunOnly(region): // its answers count for the regions that have a relay
		case id == home && !connected:
			report.Severity, report.Error, r.Severity = severityError, "the home relay does not answer", severityError
		case id != home && !answered:
			report.Severity, report.Error = severityWarning, "the relay was not measured"
		}
		for _, node := range region.Nodes {
			report.Nodes = append(report.Nodes, nodeReport{
				CanExchange: !node.STUNOnly && (id == home && connected || answered), RoundTrip: latency.Milliseconds(),
				STUN: stunInfo{node.STUNPort >= 0, node.STUNPort >= 0 && answered && m.UDP}, Node: nodeKind{node.STUNOnly},
			})
		}
		r.Regions[id] = report
	}
	return r
}

func stunOnly(r *derpmap.Region) bool {
	return !slices.ContainsFunc(r.Nodes, func(n *derpmap.Node) bool { return !n.STUNOnly })
}

// reportInterfaces lists the interfaces of this machine that are up.
func reportInterfaces() InterfacesReport {
	r := InterfacesReport{Severity: severityOK, Interfaces: []interfaceReport{}}
	all, err := net.Interfaces()
	if err != nil {
		r.Severity, r.Error = severityError, err.Error()
	}
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		one := interfaceReport{Name: i.Name, MTU: i.MTU, Addresses: []string{}}
		addrs, _ := i.Addrs() // it may be gone again
		for _, a := range addrs {
			one.Addresses = append(one.Addresses, a.String())
		}
		if i.MTU < smallMTU && i.Flags&net.FlagLoopback == 0 {
			r.Severity = severityWarning
			r.Warnings = append(r.Warnings, reportWarning{
				Code: "SmallMTU", Message: fmt.Sprintf("interface %s carries packets of %d bytes; direct paths need %d", i.Name, i.MTU, smallMTU),
			})
		}
		r.Interfaces = append(r.Interfaces, one)
	}
	return r
}
