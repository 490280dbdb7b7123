package server

import (
	"context"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/server/store"
)

// GetManifest says what the agent is and what it shall do. Agents ask when they
// have connected, so that what was read then is good.
func (a *agentService) GetManifest(context.Context, *proto.GetManifestRequest) (*proto.Manifest, error) {
	m, _ := a.s.maps.Watch()
	d := a.agent
	out := &proto.Manifest{
		AgentId: d.Agent.ID[:], AgentName: d.Agent.Name, OwnerUsername: d.Owner.Username,
		WorkspaceId: d.Workspace.ID[:], WorkspaceName: d.Workspace.Name,
		EnvironmentVariables: d.Agent.Environment, Directory: d.Agent.Directory, MotdPath: d.Agent.Config.MOTDFile,
		DisableDirectConnections: a.s.cfg.BlockDirect,
		DerpMap:                  m.Proto(),
	}
	for _, s := range d.Agent.Config.Scripts {
		out.Scripts = append(out.Scripts, scriptProto(s))
	}
	for _, app := range d.Agent.Config.Apps {
		out.Apps = append(out.Apps, a.appProto(app))
	}
	for _, m := range d.Agent.Config.Metadata {
		out.Metadata = append(out.Metadata, &proto.WorkspaceAgentMetadata_Description{
			DisplayName: m.Name, Key: m.Key, Script: m.Script, Interval: secondsAsNanos(m.Interval), Timeout: secondsAsNanos(m.Timeout),
		})
	}
	return out, nil
}

// secondsAsNanos is a duration of metadata as existing agents read it: seconds
// in the place of nanoseconds (reference: agent §4).
func secondsAsNanos(d time.Duration) *durationpb.Duration {
	return durationpb.New(time.Duration(d / time.Second))
}

func scriptProto(s store.AgentScript) *proto.WorkspaceAgentScript {
	return &proto.WorkspaceAgentScript{
		Id: s.ID[:], LogSourceId: s.LogSourceID[:], DisplayName: s.Name, Script: s.Script, LogPath: s.LogPath, Cron: s.Cron,
		RunOnStart: s.RunOnStart, RunOnStop: s.RunOnStop, StartBlocksLogin: s.BlocksLogin, Timeout: durationpb.New(s.Timeout),
	}
}

func (a *agentService) appProto(app store.AgentApp) *proto.WorkspaceApp {
	health := a.s.volatile.appHealth(a.agent.Agent.ID, app)
	return &proto.WorkspaceApp{
		Id: app.ID[:], Url: app.URL, External: app.External, Slug: app.Slug, DisplayName: app.Name, Command: app.Command,
		Icon: app.Icon, Subdomain: app.Subdomain, Hidden: app.Hidden,
		SharingLevel: proto.WorkspaceApp_SharingLevel(proto.WorkspaceApp_SharingLevel_value[strings.ToUpper(app.Share)]),
		Healthcheck:  &proto.WorkspaceApp_Healthcheck{Url: app.HealthURL, Interval: durationpb.New(app.HealthEvery), Threshold: int32(app.Threshold)},
		Health:       proto.WorkspaceApp_Health(proto.WorkspaceApp_Health_value[strings.ToUpper(health)]),
	}
}
