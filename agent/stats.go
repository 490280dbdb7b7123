//go:build linux

package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/berthdev/berth/agent/proto"
)

// minStatsInterval bounds what a server may ask for.
const minStatsInterval = time.Second

// reportStats reports as often as the server asks, which it answers to every
// report; the first one is empty and only asks.
func (a *Agent) reportStats(ctx context.Context, rpc proto.DRPCAgentClient, n *network) error {
	req := &proto.UpdateStatsRequest{}
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
		stats, err := n.stats(ctx)
		if err != nil {
			a.log.Debug("statistics not known", "err", err) // the host may be about to come back
		}
		req = &proto.UpdateStatsRequest{Stats: stats}
	}
}
