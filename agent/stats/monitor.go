//go:build linux

package stats

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/berthdev/berth/agent/proto"
)

const (
	// minInterval bounds how often a server may want to know.
	minInterval = time.Second
	// maxDatapoints bounds how many of them it may want at once.
	maxDatapoints = 1000
	// pushTimeout bounds a call.
	pushTimeout = 30 * time.Second
)

// Monitor samples the memory and the volumes that a server has asked for, as
// often as it has, and calls push with the last samples, as many as it wants, as
// soon as there are so many. One that cannot be measured is left out of its
// sample. It returns when ctx ends or push fails, and at once, with nil, when
// the server wants nothing. The context of a push ends after 30 s.
func (r Resources) Monitor(
	ctx context.Context, asked *proto.GetResourcesMonitoringConfigurationResponse,
	push func(context.Context, *proto.PushResourcesMonitoringUsageRequest) error,
) error {
	volumes := enabledVolumes(asked)
	if !asked.GetMemory().GetEnabled() && len(volumes) == 0 {
		return nil
	}
	wanted := min(max(int(asked.GetConfig().GetNumDatapoints()), 1), maxDatapoints)
	interval := time.Duration(asked.GetConfig().GetCollectionIntervalSeconds()) * time.Second
	tick := time.NewTicker(max(interval, minInterval))
	defer tick.Stop()
	var last []*proto.PushResourcesMonitoringUsageRequest_Datapoint
	for {
		if len(last) == wanted {
			last = slices.Delete(last, 0, 1)
		}
		last = append(last, r.datapoint(asked.GetMemory().GetEnabled(), volumes))
		if len(last) == wanted {
			if err := pushWithin(ctx, last, push); err != nil {
				return fmt.Errorf("report resources: %w", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func enabledVolumes(asked *proto.GetResourcesMonitoringConfigurationResponse) (paths []string) {
	for _, v := range asked.GetVolumes() {
		if v.GetEnabled() {
			paths = append(paths, v.GetPath())
		}
	}
	return paths
}

func pushWithin(
	ctx context.Context, last []*proto.PushResourcesMonitoringUsageRequest_Datapoint,
	push func(context.Context, *proto.PushResourcesMonitoringUsageRequest) error,
) error {
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	return push(ctx, &proto.PushResourcesMonitoringUsageRequest{Datapoints: last})
}

// datapoint takes one sample.
func (r Resources) datapoint(memory bool, volumes []string) *proto.PushResourcesMonitoringUsageRequest_Datapoint {
	d := &proto.PushResourcesMonitoringUsageRequest_Datapoint{CollectedAt: timestamppb.Now()}
	if memory {
		if u, err := r.Memory(); err == nil {
			d.Memory = &proto.PushResourcesMonitoringUsageRequest_Datapoint_MemoryUsage{Used: u.Used, Total: u.Total}
		}
	}
	for _, path := range volumes {
		if u, err := Disk(path); err == nil {
			d.Volumes = append(d.Volumes, &proto.PushResourcesMonitoringUsageRequest_Datapoint_VolumeUsage{Volume: path, Used: u.Used, Total: u.Total})
		}
	}
	return d
}
