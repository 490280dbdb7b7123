//go:build linux

package stats

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berthdev/berth/agent/proto"
)

// asked is what a server asks for.
func asked(datapoints, seconds int32, memory bool, volumes ...string) *proto.GetResourcesMonitoringConfigurationResponse {
	a := &proto.GetResourcesMonitoringConfigurationResponse{
		Config: &proto.GetResourcesMonitoringConfigurationResponse_Config{NumDatapoints: datapoints, CollectionIntervalSeconds: seconds},
		Memory: &proto.GetResourcesMonitoringConfigurationResponse_Memory{Enabled: memory},
	}
	for _, path := range volumes {
		a.Volumes = append(a.Volumes, &proto.GetResourcesMonitoringConfigurationResponse_Volume{Enabled: true, Path: path})
	}
	return a
}

// TestMonitor pushes the last three samples, once there are three.
func TestMonitor(t *testing.T) {
	r := v2.with(group2(".", "1073741824", "max 100000")).resources(t)
	volume := t.TempDir()
	cfg := asked(3, 10, true, volume, "/no/such/path")
	cfg.Volumes = append(cfg.Volumes, &proto.GetResourcesMonitoringConfigurationResponse_Volume{Path: "/not/enabled"})
	synctest.Test(t, func(t *testing.T) {
		began, enough := time.Now(), errors.New("enough")
		var calls []string
		err := r.Monitor(t.Context(), cfg, func(_ context.Context, req *proto.PushResourcesMonitoringUsageRequest) error {
			call := fmt.Sprint(time.Since(began), ":")
			for _, d := range req.GetDatapoints() {
				call += fmt.Sprint(" ", d.GetCollectedAt().AsTime().Sub(began))
				if d.GetMemory().GetUsed() != used2 || d.GetMemory().GetTotal() != gib {
					t.Errorf("memory = %v, want %d of %d", d.GetMemory(), used2, gib)
				}
				if v := d.GetVolumes(); len(v) != 1 || v[0].GetVolume() != volume || v[0].GetTotal() < v[0].GetUsed() || v[0].GetUsed() <= 0 {
					t.Errorf("volumes = %v, want the one that is there", v)
				}
			}
			if calls = append(calls, call); len(calls) == 3 {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) {
			t.Errorf("Monitor = %v, want %v", err, enough)
		}
		want := "[20s: 0s 10s 20s 30s: 10s 20s 30s 40s: 20s 30s 40s]"
		if got := fmt.Sprint(calls); got != want {
			t.Errorf("pushes = %s, want %s", got, want)
		}
	})
}

// TestMonitorOfLittle has servers that ask for nothing, or nonsense.
func TestMonitorOfLittle(t *testing.T) {
	r := machine.resources(t)
	for _, nothing := range []*proto.GetResourcesMonitoringConfigurationResponse{{}, asked(20, 10, false)} {
		if err := r.Monitor(t.Context(), nothing, nil); err != nil {
			t.Errorf("Monitor of nothing = %v, want its end", err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		pushes := 0
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := r.Monitor(ctx, asked(-1, 0, true), func(ctx context.Context, req *proto.PushResourcesMonitoringUsageRequest) error {
			pushes++
			return nil
		})
		if !errors.Is(err, context.DeadlineExceeded) || pushes < 9 || pushes > 11 {
			t.Errorf("Monitor with an interval of 0 = %v after %d pushes in 10 s, want one in a second", err, pushes)
		}
	})
}

// TestMonitorWhatIsMissing leaves memory out that it cannot measure.
func TestMonitorWhatIsMissing(t *testing.T) {
	r := machine.resources(t)
	if err := os.Remove(filepath.Join(r.Root, "proc/meminfo")); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	err := r.Monitor(t.Context(), asked(1, 10, true), func(ctx context.Context, req *proto.PushResourcesMonitoringUsageRequest) error {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("a push has no deadline")
		}
		if d := req.GetDatapoints(); len(d) != 1 || d[0].GetMemory() != nil {
			t.Errorf("datapoints = %v, want one without memory", d)
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Errorf("Monitor = %v, want %v", err, stop)
	}
}
