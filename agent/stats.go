//go:build linux

package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/berthdev/berth/agent/host"
	"github.com/berthdev/berth/agent/proto"
)

// minStatsInterval bounds what a server may ask for.
const minStatsInterval = time.Second

// reportStats reports as often as the server asks, which it answers to every
// report; the first one is empty and only asks.
func (a *Agent) reportStats(ctx context.Context, rpc proto.DRPCAgentClient, n *network) error {
	req := &proto.UpdateStatsRequest{}
	var use use
	for {
		res, err := rpc.UpdateStats(ctx, req)
		if err != nil {
			return fmt.Errorf("report statistics: %w", err)
		}
		select {
		case <-time.After(max(res.GetReportInterval().AsDuration(), minStatsInterval)):
		case <-ctx.Done():
			return ctx.Err()
		}
		state, err := n.host.State(ctx)
		if err != nil {
			a.log.Debug("statistics not known", "err", err) // the host may be about to come back
			req = &proto.UpdateStatsRequest{}
			continue
		}
		stats := sessionCounts(state)
		stats.Metrics = []*proto.Stats_Metric{use.metric(state, time.Now())}
		req = &proto.UpdateStatsRequest{Stats: stats}
	}
}

// editorRate is how much an editor whose user works sends in a minute at least,
// in bytes: each change is a message to a language server, and saved files come
// on top. One that is only open sends signs of life, some hundred bytes.
const editorRate = 8 << 10

// use tells from two states of the session host whether somebody works.
type use struct {
	at            time.Time
	input, editor uint64
}

// metric says whether there was input since the last call; of the first call it
// is not known, and no.
func (u *use) metric(s host.State, now time.Time) *proto.Stats_Metric {
	m := &proto.Stats_Metric{Name: proto.MetricInput, Type: proto.Stats_Metric_GAUGE}
	if !u.at.IsZero() && s.Input >= u.input && s.EditorBytes >= u.editor { // else it is another host
		minutes := max(now.Sub(u.at).Minutes(), 1.0/60)
		if s.Input > u.input || float64(s.EditorBytes-u.editor) >= editorRate*minutes {
			m.Value = 1
		}
	}
	*u = use{now, s.Input, s.EditorBytes}
	return m
}
