//go:build linux

package agent

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/berthdev/berth/tailnet"
	"github.com/berthdev/berth/tailnet/derpmap"
)

const (
	// netcheckTimeout bounds one measurement.
	netcheckTimeout = 10 * time.Second
	// smallMTU is what a packet of WireGuard with the 1280 bytes of our own needs:
	// 40 for IPv6, 8 for UDP and 32 for WireGuard on top.
	smallMTU = 1280 + 80
)

// Severities of a report.
const (
	severityOK      = "ok"
	severityWarning = "warning"
	severityError   = "error"
)

// netcheckReport has the shape of what `coder netcheck` prints (reference: clients
// §1d), of the agent's own network.
type netcheckReport struct {
	DERP       derpReport       `json:"derp"`
	Interfaces interfacesReport `json:"interfaces"`
}

type reportWarning struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

type derpReport struct {
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

type interfacesReport struct {
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

// netchecks makes one report at a time, which all get that asked before it was done.
type netchecks struct {
	room chan struct{} // 1: a report is made; who has it may touch those below
	last *netcheckReport
	done time.Time
}

func newNetchecks() *netchecks { return &netchecks{room: make(chan struct{}, 1)} }

// report returns one that was done after the call, by measure if by nobody else. It
// waits for measure, and for one that others called before.
func (c *netchecks) report(ctx context.Context, measure func(context.Context) netcheckReport) (*netcheckReport, error) {
	asked := time.Now()
	select {
	case c.room <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-c.room }()
	if c.last != nil && c.done.After(asked) {
		return c.last, nil
	}
	r := measure(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err() // it is not whole: the next one makes another
	}
	c.last, c.done = &r, time.Now()
	return c.last, nil
}

func (n *network) getNetcheck(w http.ResponseWriter, r *http.Request) {
	extend(w, 2*netcheckTimeout+apiTimeout) // one of somebody else, and our own
	report, err := n.netchecks.report(r.Context(), n.checkNetwork)
	if err != nil {
		n.refuse(w, err)
		return
	}
	answer(w, report)
}

func (n *network) checkNetwork(ctx context.Context) netcheckReport {
	measuring, cancel := context.WithTimeout(ctx, netcheckTimeout)
	defer cancel()
	m, err := n.node.Measure(measuring)
	relays := derpmap.FromProto(n.manifest.Load().GetDerpMap())
	return netcheckReport{DERP: reportRelays(relays, m, err, n.node.Home(), n.node.RelayConnected()), Interfaces: reportInterfaces()}
}

// reportRelays judges what was measured: a home relay that does not answer is an
// error, as nobody reaches the agent then.
func reportRelays(relays *derpmap.Map, m tailnet.Measurement, err error, home int, connected bool) derpReport {
	r := derpReport{Severity: severityOK, Regions: map[int]regionReport{}}
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
func reportInterfaces() interfacesReport {
	r := interfacesReport{Severity: severityOK, Interfaces: []interfaceReport{}}
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
