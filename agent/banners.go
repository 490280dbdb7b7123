//go:build linux

package agent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/tailnet/wire"
)

// bannersEvery is how often announcements are asked for, as existing agents do.
const bannersEvery = 2 * time.Minute

// followBanners shows the administrator's announcements to those who log in,
// until ctx ends. Servers that have none say so once.
func (n *network) followBanners(ctx context.Context, rpc proto.DRPCAgentClient) error {
	for {
		res, err := rpc.GetAnnouncementBanners(ctx, &proto.GetAnnouncementBannersRequest{})
		if wire.Unimplemented(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("get the announcements: %w", err)
		}
		var texts []string
		for _, b := range res.GetAnnouncementBanners() {
			if b.GetEnabled() && b.GetMessage() != "" {
				texts = append(texts, b.GetMessage())
			}
		}
		if !slices.Equal(texts, n.setup.Banners) {
			n.setup.Banners = texts
			if err := n.host.Set(ctx, n.setup); err != nil {
				n.cfg.Log.Warn("announcements not shown", "err", err)
			}
		}
		select {
		case <-time.After(bannersEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
