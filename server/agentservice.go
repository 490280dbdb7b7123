package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/semver"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/server/store"
)

const (
	// statsEvery is how often agents report their traffic: as often as the use
	// of a workspace is written down at most.
	statsEvery = time.Minute
	// maxDirectory bounds the directory that an agent reports, in bytes: Linux
	// has no longer path.
	maxDirectory = 4096
	// maxLogBatch is how many lines one call may bring.
	maxLogBatch = 1 << 16
)

// externalSource is the stream of logs that name none (reference: agent §5).
var externalSource = uuid.MustParse("3b579bf4-1ed8-4b99-87a8-e9a1e3410410")

// agentService answers the calls of one agent, for whom the connection was
// authenticated. Ids in what the agent says are checked to be its own. Methods
// that are not here answer Unimplemented, which agents live with.
type agentService struct {
	proto.DRPCAgentUnimplementedServer
	s     *Server
	agent *store.AgentDetail // as it was when the agent connected
}

// GetServiceBanner is what agents of 2.0 ask for.
func (a *agentService) GetServiceBanner(context.Context, *proto.GetServiceBannerRequest) (*proto.ServiceBanner, error) {
	return &proto.ServiceBanner{}, nil
}

// GetAnnouncementBanners says that there are none.
func (a *agentService) GetAnnouncementBanners(context.Context, *proto.GetAnnouncementBannersRequest) (*proto.GetAnnouncementBannersResponse, error) {
	return &proto.GetAnnouncementBannersResponse{}, nil
}

// UpdateStartup takes the agent's version and directory.
func (a *agentService) UpdateStartup(ctx context.Context, req *proto.UpdateStartupRequest) (*proto.Startup, error) {
	up := req.GetStartup()
	row, err := startupRow(up)
	if err != nil {
		return nil, err
	}
	if err := a.s.store.SetAgentStartup(ctx, a.agent.Agent.ID, row); err != nil {
		return nil, a.trouble("write startup", err)
	}
	a.s.events.changed(a.agent.Workspace.ID)
	return up, nil
}

func startupRow(up *proto.Startup) (store.AgentStartup, error) {
	row := store.AgentStartup{Version: up.GetVersion(), ExpandedDirectory: up.GetExpandedDirectory()}
	switch {
	case !semver.IsValid(row.Version) || len(row.Version) > 128:
		return row, fmt.Errorf("version %.40q is not like v1.2.3", row.Version)
	case len(row.ExpandedDirectory) > maxDirectory:
		return row, fmt.Errorf("directory is longer than %d bytes", maxDirectory)
	case len(up.GetSubsystems()) > len(proto.Startup_Subsystem_name):
		return row, errors.New("too many subsystems")
	}
	for _, sub := range up.GetSubsystems() {
		name, known := proto.Startup_Subsystem_name[int32(sub)]
		if !known || sub == proto.Startup_SUBSYSTEM_UNSPECIFIED {
			return row, fmt.Errorf("unknown subsystem %d", sub)
		}
		row.Subsystems = append(row.Subsystems, strings.ToLower(name))
	}
	return row, nil
}

// UpdateLifecycle takes how far the agent is.
func (a *agentService) UpdateLifecycle(ctx context.Context, req *proto.UpdateLifecycleRequest) (*proto.Lifecycle, error) {
	l := req.GetLifecycle()
	name, known := proto.Lifecycle_State_name[int32(l.GetState())]
	if !known || l.GetState() == proto.Lifecycle_STATE_UNSPECIFIED {
		return nil, fmt.Errorf("unknown lifecycle state %d", l.GetState())
	}
	changed := time.Now()
	if at := l.GetChangedAt(); at.IsValid() && at.AsTime().Before(changed) {
		changed = at.AsTime()
	}
	err := a.s.store.SetAgentLifecycle(ctx, a.agent.Agent.ID, store.Lifecycle(strings.ToLower(name)), changed)
	if err != nil {
		return nil, a.trouble("write lifecycle", err)
	}
	a.s.events.changed(a.agent.Workspace.ID)
	return l, nil
}

// UpdateStats says when to report next. A report of traffic or sessions means
// that the workspace is in use.
func (a *agentService) UpdateStats(ctx context.Context, req *proto.UpdateStatsRequest) (*proto.UpdateStatsResponse, error) {
	if cause := inUse(req.GetStats()); cause != "" {
		if err := a.s.used(ctx, a.agent.Workspace.ID, cause); err != nil {
			return nil, a.trouble("write use of workspace", err)
		}
	}
	if err := a.s.holdTasks(ctx, a.agent); err != nil {
		return nil, a.trouble("write the lease of a task", err)
	}
	return &proto.UpdateStatsResponse{ReportInterval: durationpb.New(statsEvery)}, nil
}

// inUse says by what the workspace is in use, "" if it is not. Our agents say
// themselves whether there was input since their last report: an open window is
// none. Of others it is only known which sessions are open. Connections alone say
// little: a client that only looks whether the agent is there makes some.
func inUse(s *proto.Stats) string {
	for _, m := range s.GetMetrics() {
		if m.GetName() == proto.MetricInput {
			if m.GetValue() > 0 {
				return "input"
			}
			return ""
		}
	}
	for _, app := range slices.Sorted(maps.Keys(s.GetSessionCounts())) {
		if s.GetSessionCounts()[app] > 0 {
			return printable(app, 64)
		}
	}
	for _, kind := range []struct {
		name  string
		count int64
	}{
		{"vscode", s.GetSessionCountVscode()},
		{"jetbrains", s.GetSessionCountJetbrains()},
		{"terminal", s.GetSessionCountReconnectingPty()},
		{"ssh", s.GetSessionCountSsh()},
	} {
		if kind.count > 0 {
			return kind.name
		}
	}
	return ""
}

// GetResourcesMonitoringConfiguration says what is watched. The numbers are what
// agents sample by; they must not be zero.
func (a *agentService) GetResourcesMonitoringConfiguration(context.Context, *proto.GetResourcesMonitoringConfigurationRequest) (*proto.GetResourcesMonitoringConfigurationResponse, error) {
	out := &proto.GetResourcesMonitoringConfigurationResponse{
		Config: &proto.GetResourcesMonitoringConfigurationResponse_Config{NumDatapoints: 20, CollectionIntervalSeconds: 10},
	}
	monitors := a.agent.Agent.Config.Monitors
	if monitors.Memory != nil {
		out.Memory = &proto.GetResourcesMonitoringConfigurationResponse_Memory{Enabled: true}
	}
	for _, v := range monitors.Volumes {
		out.Volumes = append(out.Volumes, &proto.GetResourcesMonitoringConfigurationResponse_Volume{Enabled: true, Path: v.Path})
	}
	return out, nil
}

// PushResourcesMonitoringUsage takes how full memory and volumes are, of which
// the last sample counts.
func (a *agentService) PushResourcesMonitoringUsage(_ context.Context, req *proto.PushResourcesMonitoringUsageRequest) (*proto.PushResourcesMonitoringUsageResponse, error) {
	samples := req.GetDatapoints()
	if len(samples) == 0 {
		return &proto.PushResourcesMonitoringUsageResponse{}, nil
	}
	last, monitors := samples[len(samples)-1], a.agent.Agent.Config.Monitors
	full := map[string]bool{}
	if m := last.GetMemory(); m != nil && monitors.Memory != nil {
		full["memory"] = isFull(m.GetUsed(), m.GetTotal(), monitors.Memory.Threshold)
	}
	for _, v := range monitors.Volumes {
		for _, sample := range last.GetVolumes() {
			if sample.GetVolume() == v.Path {
				full[v.Path] = isFull(sample.GetUsed(), sample.GetTotal(), v.Threshold)
			}
		}
	}
	for what, now := range full {
		if a.s.volatile.setFull(a.agent.Agent.ID, what, now) && now {
			a.s.log.Warn("workspace runs full", "workspace", a.agent.Workspace.Name, "owner", a.agent.Owner.Username, "what", what)
		}
	}
	a.s.events.changed(a.agent.Workspace.ID)
	return &proto.PushResourcesMonitoringUsageResponse{}, nil
}

// isFull reports whether so much is used that it is over a threshold in per cent;
// 0 is none.
func isFull(used, total int64, threshold int) bool {
	return threshold > 0 && total > 0 && float64(used) > float64(total)*float64(threshold)/100
}

// BatchCreateLogs keeps what the agent logged, until it is too much.
func (a *agentService) BatchCreateLogs(ctx context.Context, req *proto.BatchCreateLogsRequest) (*proto.BatchCreateLogsResponse, error) {
	source, err := logSource(req.GetLogSourceId())
	if err != nil {
		return nil, err
	}
	if len(req.GetLogs()) > maxLogBatch {
		return nil, fmt.Errorf("%d lines in one call, at most %d are allowed", len(req.GetLogs()), maxLogBatch)
	}
	lines := make([]store.AgentLog, 0, len(req.GetLogs()))
	for _, l := range req.GetLogs() {
		lines = append(lines, store.AgentLog{Output: l.GetOutput(), Level: logLevel(l.GetLevel()), SourceID: source, CreatedAt: time.Now()})
	}
	overflowed, err := a.s.store.AppendAgentLogs(ctx, a.agent.Agent.ID, lines)
	if err != nil {
		return nil, a.trouble("write the log", err)
	}
	a.s.events.changed(a.agent.Agent.ID)
	return &proto.BatchCreateLogsResponse{LogLimitExceeded: overflowed}, nil
}

func logSource(raw []byte) (uuid.UUID, error) {
	id, err := uuid.FromBytes(raw)
	if len(raw) == 0 || err == nil && id == uuid.Nil {
		return externalSource, nil
	}
	if err != nil {
		return uuid.Nil, errors.New("malformed id of a log source")
	}
	return id, nil
}

func logLevel(level proto.Log_Level) string {
	if name, known := proto.Log_Level_name[int32(level)]; known && level != proto.Log_LEVEL_UNSPECIFIED {
		return strings.ToLower(name)
	}
	return "info"
}

// ScriptCompleted takes how a script of the agent ended.
func (a *agentService) ScriptCompleted(ctx context.Context, req *proto.WorkspaceAgentScriptCompletedRequest) (*proto.WorkspaceAgentScriptCompletedResponse, error) {
	t := req.GetTiming()
	id, err := uuid.FromBytes(t.GetScriptId())
	if err != nil || !slices.ContainsFunc(a.agent.Agent.Config.Scripts, func(s store.AgentScript) bool { return s.ID == id }) {
		return nil, errors.New("the agent has no script of this id")
	}
	stage, knownStage := proto.Timing_Stage_name[int32(t.GetStage())]
	status, knownStatus := proto.Timing_Status_name[int32(t.GetStatus())]
	if !knownStage || !knownStatus || !t.GetStart().IsValid() || !t.GetEnd().IsValid() {
		return nil, errors.New("malformed timing of a script")
	}
	err = a.s.store.SetScriptRun(ctx, store.ScriptRun{
		AgentID: a.agent.Agent.ID, ScriptID: id, Stage: strings.ToLower(stage), Status: strings.ToLower(status),
		ExitCode: int64(t.GetExitCode()), StartedAt: t.GetStart().AsTime(), EndedAt: t.GetEnd().AsTime(),
	})
	if err != nil {
		return nil, a.trouble("write the end of a script", err)
	}
	a.s.events.changed(a.agent.Workspace.ID)
	return &proto.WorkspaceAgentScriptCompletedResponse{}, nil
}

// ReportConnection logs who came to the workspace and left. What the agent
// says is text of outside.
func (a *agentService) ReportConnection(_ context.Context, req *proto.ReportConnectionRequest) (*emptypb.Empty, error) {
	c := req.GetConnection()
	id, err := uuid.FromBytes(c.GetId())
	if err != nil || id == uuid.Nil {
		return nil, errors.New("malformed id of a connection")
	}
	ip := net.ParseIP(c.GetIp())
	a.s.log.Info("workspace connection", "workspace", a.agent.Workspace.Name, "owner", a.agent.Owner.Username,
		"connection", id, "action", strings.ToLower(c.GetAction().String()), "type", strings.ToLower(c.GetType().String()),
		"app", printable(c.GetAppName(), 64), "ip", ip.String(), "code", c.GetStatusCode(), "reason", printable(c.GetReason(), 200))
	return &emptypb.Empty{}, nil
}

// trouble logs what went wrong here; the agent is told no more than that
// something did.
func (a *agentService) trouble(doing string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	a.s.log.Error("agent call failed", "agent", a.agent.Agent.ID, "doing", doing, "err", err)
	return fmt.Errorf("%s: the server had trouble", doing)
}
