//go:build linux

package agent

import (
	"context"
	"maps"
	"net/http"
	"os"
	"runtime"
	"slices"

	"github.com/berthdev/berth/agent/host"
	"github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/agent/stats"
	"github.com/berthdev/berth/tailnet/wire"
)

// getMetrics answers in Prometheus's text.
func (n *network) getMetrics(w http.ResponseWriter, r *http.Request) {
	state, err := n.host.State(r.Context())
	if err != nil {
		n.refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", stats.ContentType)
	if err := stats.WriteMetrics(w, n.families(state)); err != nil {
		n.cfg.Log.Debug("metrics not written", "err", err)
	}
}

// families are the numbers that the agent has about itself.
func (n *network) families(s host.State) []stats.Family {
	one := func(name, help string, value float64) stats.Family {
		return stats.Family{Name: name, Help: help, Metrics: []stats.Metric{{Value: value}}}
	}
	count := func(name, help string, value uint64) stats.Family {
		f := one(name, help, float64(value))
		f.Counter = true
		return f
	}
	sessions := stats.Family{Name: "berth_agent_sessions", Help: "Sessions of SSH that have a program, by their type."}
	for _, kind := range slices.Sorted(maps.Keys(s.Sessions)) {
		sessions.Metrics = append(sessions.Metrics, stats.Metric{Labels: []stats.Label{{Name: "type", Value: kind}}, Value: float64(s.Sessions[kind])})
	}
	c := n.node.Counters()
	return []stats.Family{
		sessions,
		one("berth_agent_connections", "Connections of SSH.", float64(s.Connections)),
		one("berth_agent_processes", "Processes that sessions of SSH and the API have started.", float64(s.Processes)),
		one("berth_agent_streams", "Streams that outlive their connections.", float64(s.Streams)),
		one("berth_agent_streams_waiting", "Streams whose client is away.", float64(s.Waiting)),
		one("berth_agent_terminals", "Terminals.", float64(s.Terminals)),
		one("berth_agent_terminal_viewers", "Viewers of terminals.", float64(s.Viewers)),
		one("berth_agent_scripts_open", "Runs of scripts whose output is open.", float64(s.Scripts)),
		count("berth_agent_relay_lost_packets_total", "Packets that were lost with the connection to a relay.", c.RelayLost),
		one("berth_agent_goroutines", "Goroutines of the network half.", float64(runtime.NumGoroutine())),
		one("berth_agent_open_files", "File descriptors of the network half.", float64(openFiles())),
	}
}

// openFiles is how many file descriptors this process has.
func openFiles() int {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	return max(len(names)-1, 0) // without that of the directory
}

// reportResources tells the server of memory and volumes, as often as it wants
// to know. Old servers do not.
func (a *Agent) reportResources(ctx context.Context, rpc proto.DRPCAgentClient) error {
	asked, err := rpc.GetResourcesMonitoringConfiguration(ctx, &proto.GetResourcesMonitoringConfigurationRequest{})
	if err != nil {
		if !wire.Unimplemented(err) {
			a.log.Debug("resources not watched", "err", err)
		}
		return ctx.Err()
	}
	return stats.Resources{}.Monitor(ctx, asked, func(ctx context.Context, samples *proto.PushResourcesMonitoringUsageRequest) error {
		if _, err := rpc.PushResourcesMonitoringUsage(ctx, samples); err != nil {
			a.log.Debug("resources not reported", "err", err)
		}
		return ctx.Err()
	})
}
