//go:build linux

package agent

import (
	"context"
	"os"
	"os/exec"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/berthdev/berth/agent/health"
	"github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/agent/sshd"
)

// watch has the values and the apps of a manifest found out.
func (n *network) watch(m *proto.Manifest) {
	n.metadata.Update(descriptions(m))
	n.apps.Update(apps(m))
}

func descriptions(m *proto.Manifest) (all []health.Description) {
	for _, d := range m.GetMetadata() {
		all = append(all, health.Description{
			Key: d.GetKey(), Script: d.GetScript(), Interval: nanosAsSeconds(d.GetInterval()), Timeout: nanosAsSeconds(d.GetTimeout()),
		})
	}
	return all
}

// nanosAsSeconds reads the durations of metadata as every server writes them:
// seconds in the place of nanoseconds (reference: agent §4). One that is a second
// or more is from a server that does not.
func nanosAsSeconds(d *durationpb.Duration) time.Duration {
	if n := d.AsDuration(); n < time.Second {
		return n * time.Second
	}
	return d.AsDuration()
}

func apps(m *proto.Manifest) (all []health.App) {
	for _, app := range m.GetApps() {
		id, err := uuid.FromBytes(app.GetId())
		if err != nil || app.GetHealth() == proto.WorkspaceApp_DISABLED {
			continue
		}
		check := app.GetHealthcheck()
		all = append(all, health.App{ID: id, URL: check.GetUrl(), Interval: check.GetInterval().AsDuration(), Threshold: int(check.GetThreshold())})
	}
	return all
}

// runScript runs a script of the metadata as a login would.
func (n *network) runScript(ctx context.Context, script string) ([]byte, error) {
	login, err := n.host.Login(ctx)
	if err != nil {
		return nil, err
	}
	return health.Shell{
		Path: login.Path, Env: login.Env, Dir: login.Dir,
		Start: func(cmd *exec.Cmd) error { return sshd.StartProgram(cmd, os.Environ()) },
	}.Run(ctx, script)
}

// reportMetadata tells the server the values, all of them at first. A server
// that does not take one does without: it says what it does not like.
func (a *Agent) reportMetadata(ctx context.Context, rpc proto.DRPCAgentClient, n *network) error {
	return n.metadata.Report(ctx, func(ctx context.Context, results []health.Result) error {
		req := &proto.BatchUpdateMetadataRequest{}
		for _, r := range results {
			req.Metadata = append(req.Metadata, &proto.Metadata{Key: r.Key, Result: &proto.WorkspaceAgentMetadata_Result{
				CollectedAt: timestamppb.New(r.CollectedAt), Age: int64(time.Since(r.CollectedAt) / time.Second), Value: r.Value, Error: r.Error,
			}})
		}
		if _, err := rpc.BatchUpdateMetadata(ctx, req); err != nil {
			a.log.Warn("metadata not reported", "err", err)
		}
		return ctx.Err()
	})
}

// reportApps tells the server how apps are.
func (a *Agent) reportApps(ctx context.Context, rpc proto.DRPCAgentClient, n *network) error {
	return n.apps.Report(ctx, func(ctx context.Context, states map[uuid.UUID]health.State) error {
		req := &proto.BatchUpdateAppHealthRequest{}
		for id, state := range states {
			req.Updates = append(req.Updates, &proto.BatchUpdateAppHealthRequest_HealthUpdate{Id: id[:], Health: state})
		}
		if _, err := rpc.BatchUpdateAppHealths(ctx, req); err != nil {
			a.log.Warn("health of apps not reported", "err", err)
		}
		return ctx.Err()
	})
}
