//go:build linux

package agent

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/berthdev/berth/agent/host"
	"github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/agent/script"
)

const (
	// batchWait is how long lines are gathered before they are sent, so that a
	// script that prints much makes few calls, and somebody who follows the log
	// does not notice.
	batchWait = 100 * time.Millisecond
	// maxBatch is how many bytes of output one call brings; a server takes 4 MiB.
	maxBatch = 512 << 10
)

// scripts are those of the manifest that have ids.
func scripts(m *proto.Manifest) (all []script.Script) {
	for _, s := range m.GetScripts() {
		id, err := uuid.FromBytes(s.GetId())
		source, sourceErr := uuid.FromBytes(s.GetLogSourceId())
		if err != nil || sourceErr != nil {
			continue
		}
		all = append(all, script.Script{
			ID: id, Source: source, Name: s.GetDisplayName(), Text: s.GetScript(),
			OnStart: s.GetRunOnStart(), OnStop: s.GetRunOnStop(), BlocksLogin: s.GetStartBlocksLogin(),
			Cron: s.GetCron(), Timeout: s.GetTimeout().AsDuration(), LogPath: s.GetLogPath(),
		})
	}
	return all
}

// reportScripts tells the server what scripts print, how they end and how far
// the workspace is, each once and in order.
func (a *Agent) reportScripts(ctx context.Context, rpc proto.DRPCAgentClient, n *network) error {
	if state, err := n.host.State(ctx); err == nil && state.Known != nil { // by an agent before this one
		a.lifecycle.set(lifecycleOf(state.Known.Phase), state.Known.Time)
	}
	r := &scriptReporter{agent: a, rpc: rpc}
	for {
		events, err := n.scriptEvents(ctx)
		if err != nil {
			return err
		}
		if err := r.report(ctx, events); err != nil {
			return err
		}
		n.scripts.Store(events[len(events)-1].Number) // the host hears of it at once: another agent would say it again
	}
}

// scriptEvents waits for what scripts do next.
func (n *network) scriptEvents(ctx context.Context) ([]host.Numbered[script.Event], error) {
	for {
		events, err := n.host.ScriptEvents(ctx, n.scripts.Load())
		if len(events) > 0 {
			return n.gather(ctx, events)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		n.cfg.Log.Debug("events of scripts not known", "err", err) // the host may be about to come back, or has ended
		select {
		case <-n.ended:
			return n.lastEvents(ctx)
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// lastEvents are those of a host that has ended and that were not told yet; when
// there are none it waits for the end of ctx.
func (n *network) lastEvents(ctx context.Context) ([]host.Numbered[script.Event], error) {
	for i, e := range n.left {
		if e.Number > n.scripts.Load() {
			return n.left[i:], nil
		}
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// gather returns events with those that follow them within batchWait.
func (n *network) gather(ctx context.Context, events []host.Numbered[script.Event]) ([]host.Numbered[script.Event], error) {
	select {
	case <-time.After(batchWait):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if more, err := n.host.ScriptEvents(ctx, n.scripts.Load()); err == nil && len(more) > len(events) {
		return more, nil
	}
	return events, ctx.Err()
}

// scriptReporter sends events over one session with the server.
type scriptReporter struct {
	agent *Agent
	rpc   proto.DRPCAgentClient
	full  bool // the server takes no more lines
}

// report sends lines in batches, each of one script, and what follows them after
// them.
func (r *scriptReporter) report(ctx context.Context, events []host.Numbered[script.Event]) error {
	var batch []*script.Line
	size := 0
	for _, e := range events {
		line := e.Event.Line
		if line != nil && (len(batch) == 0 || line.Source == batch[0].Source) && size < maxBatch {
			batch, size = append(batch, line), size+len(line.Text)
			continue
		}
		if err := r.send(ctx, batch); err != nil {
			return err
		}
		batch, size = nil, 0
		if line != nil {
			batch, size = []*script.Line{line}, len(line.Text)
		} else if err := r.other(ctx, e.Event); err != nil {
			return err
		}
	}
	return r.send(ctx, batch)
}

func (r *scriptReporter) send(ctx context.Context, lines []*script.Line) error {
	if len(lines) == 0 || r.full {
		return nil
	}
	req := &proto.BatchCreateLogsRequest{LogSourceId: lines[0].Source[:]}
	for _, line := range lines {
		level := proto.Log_INFO
		if line.Error {
			level = proto.Log_ERROR
		}
		req.Logs = append(req.Logs, &proto.Log{CreatedAt: timestamppb.New(line.Time), Output: line.Text, Level: level})
	}
	res, err := r.rpc.BatchCreateLogs(ctx, req)
	if err != nil {
		return fmt.Errorf("send the log of a script: %w", err)
	}
	if r.full = res.GetLogLimitExceeded(); r.full {
		r.agent.log.Warn("the server takes no more of the logs of scripts; their files have all of them")
	}
	return nil
}

func (r *scriptReporter) other(ctx context.Context, e script.Event) error {
	if e.Phase != nil {
		r.agent.lifecycle.set(lifecycleOf(e.Phase.Phase), e.Phase.Time)
	}
	if e.Run == nil {
		return nil
	}
	_, err := r.rpc.ScriptCompleted(ctx, &proto.WorkspaceAgentScriptCompletedRequest{Timing: timing(e.Run)})
	if err != nil {
		r.agent.log.Debug("end of a script not reported", "err", err) // old servers do not take it
	}
	return ctx.Err()
}

func timing(run *script.Run) *proto.Timing {
	return &proto.Timing{
		ScriptId: run.Script[:], Start: timestamppb.New(run.Start), End: timestamppb.New(run.End), ExitCode: int32(run.ExitCode),
		Stage:  proto.Timing_Stage(proto.Timing_Stage_value[strings.ToUpper(string(run.Stage))]),
		Status: proto.Timing_Status(proto.Timing_Status_value[strings.ToUpper(string(run.Status))]),
	}
}

func lifecycleOf(phase script.Phase) proto.Lifecycle_State {
	return proto.Lifecycle_State(proto.Lifecycle_State_value[strings.ToUpper(string(phase))])
}
