package server

import (
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/store"
)

// orNil is t for a field that is null when there is no time.
func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// workspaceJSON is a workspace as the API shows it to a user. It needs all
// pointers that the store sets.
func (s *Server) workspaceJSON(w store.Workspace, viewer uuid.UUID) api.Workspace {
	build := s.buildJSON(*w.LatestBuild, w, *w.Owner)
	return api.Workspace{
		ID: w.ID, CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt, Name: w.Name, LastUsedAt: w.LastUsedAt,
		OwnerID: w.OwnerID, OwnerName: w.Owner.Username, OwnerAvatarURL: w.Owner.AvatarURL,
		OrganizationID: w.OrganizationID, OrganizationName: w.Organization.Name,
		TemplateID: w.TemplateID, TemplateName: w.Template.Name, TemplateDisplayName: w.Template.DisplayName,
		TemplateIcon: w.Template.Icon, TemplateActiveVersionID: w.Template.ActiveVersionID,
		TemplateAllowUserCancelWorkspaceJobs: true, TemplateUseClassicParameterFlow: true,
		LatestBuild:      build,
		TTLMillis:        millisOf(w.TTLSeconds),
		Outdated:         w.LatestBuild.TemplateVersionID != w.Template.ActiveVersionID,
		Health:           healthOf(build),
		AutomaticUpdates: w.AutomaticUpdates, AllowRenames: true,
		AutostartSchedule: orNone(w.AutostartSchedule), NextStartAt: orNil(w.NextStartAt),
		Favorite: w.Favorite && w.OwnerID == viewer,
	}
}

// orNone is text for a field that is absent when there is none.
func orNone(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// millisOf is a TTL as clients read it; nil is for ever.
func millisOf(seconds int64) *int64 {
	if seconds == 0 {
		return nil
	}
	millis := seconds * 1000
	return &millis
}

// healthOf sums up the agents of a workspace that is running.
func healthOf(b api.Build) api.Health {
	h := api.Health{Healthy: true, FailingAgents: []uuid.UUID{}}
	if b.Status != api.BuildRunning {
		return h
	}
	for _, r := range b.Resources {
		for _, a := range r.Agents {
			if !a.Health.Healthy {
				h.FailingAgents = append(h.FailingAgents, a.ID)
			}
		}
	}
	h.Healthy = len(h.FailingAgents) == 0
	return h
}

func (s *Server) buildJSON(b store.Build, w store.Workspace, owner store.User) api.Build {
	out := api.Build{
		ID: b.ID, CreatedAt: b.CreatedAt, UpdatedAt: b.UpdatedAt,
		WorkspaceID: b.WorkspaceID, WorkspaceName: w.Name,
		WorkspaceOwnerID: owner.ID, WorkspaceOwnerName: owner.Username, WorkspaceOwnerAvatarURL: owner.AvatarURL,
		TemplateVersionID: b.TemplateVersionID, TemplateVersionName: b.Version.Name,
		Deadline:    orNil(b.Deadline),
		BuildNumber: b.Number, Transition: api.Transition(b.Transition), Reason: b.Reason,
		InitiatorID: b.InitiatorID, InitiatorName: b.Initiator.Username,
		Job: s.buildJobJSON(b, w), Status: api.BuildStatus(b.Status()),
		Resources: s.resourcesJSON(b), HasExternalAgent: b.Version.HasExternalAgent,
	}
	return out
}

func jobJSON(j store.Job) api.Job {
	return api.Job{
		ID: j.ID, CreatedAt: j.CreatedAt, StartedAt: orNil(j.StartedAt), CompletedAt: orNil(j.CompletedAt),
		CanceledAt: orNil(j.CanceledAt), Error: j.Error, ErrorCode: j.ErrorCode, Status: api.JobStatus(j.Status),
		Tags:           map[string]string{"owner": "", "scope": "organization"},
		OrganizationID: j.OrganizationID, InitiatorID: j.InitiatorID, Type: string(j.Type),
		LogsOverflowed: j.LogsOverflowed,
	}
}

func (s *Server) buildJobJSON(b store.Build, w store.Workspace) api.Job {
	j := jobJSON(*b.Job)
	j.Input = api.JobInput{WorkspaceBuildID: &b.ID}
	j.Metadata = api.JobMetadata{
		TemplateVersionName: b.Version.Name, TemplateID: &w.TemplateID,
		WorkspaceID: &b.WorkspaceID, WorkspaceName: w.Name,
	}
	if w.Template != nil {
		j.Metadata.TemplateName = w.Template.Name
		j.Metadata.TemplateDisplayName = w.Template.DisplayName
		j.Metadata.TemplateIcon = w.Template.Icon
	}
	return j
}

func (s *Server) resourcesJSON(b store.Build) []api.Resource {
	list := make([]api.Resource, 0, len(b.Resources))
	for _, r := range b.Resources {
		out := api.Resource{
			ID: r.ID, CreatedAt: r.CreatedAt, JobID: r.JobID, WorkspaceTransition: api.Transition(r.Transition),
			Type: r.Type, Name: r.Name, Hide: r.Hide, Icon: r.Icon, DailyCost: int(r.DailyCost),
			Agents: []api.Agent{}, Metadata: []api.ResourceMetadata{},
		}
		for _, a := range r.Agents {
			out.Agents = append(out.Agents, s.agentJSON(*a))
		}
		list = append(list, out)
	}
	return list
}

func (s *Server) agentJSON(a store.Agent) api.Agent {
	status := agentStatus(a, s.sessions.connected(a.ID), time.Now())
	out := api.Agent{
		ID: a.ID, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
		FirstConnectedAt: orNil(a.FirstConnectedAt), LastConnectedAt: orNil(a.LastConnectedAt),
		DisconnectedAt: orNil(a.DisconnectedAt), StartedAt: orNil(a.StartedAt), ReadyAt: orNil(a.ReadyAt),
		Status: status, LifecycleState: api.AgentLifecycle(a.LifecycleState),
		Name: a.Name, ResourceID: a.ResourceID, Architecture: a.Architecture, OperatingSystem: a.OperatingSystem,
		EnvironmentVariables: a.Environment, Directory: a.Directory, ExpandedDirectory: a.ExpandedDirectory,
		Version: a.Version, APIVersion: a.APIVersion, Apps: []api.App{},
		LogsLength: a.LogsBytes, LogsOverflowed: a.LogsOverflowed,
		ConnectionTimeoutSeconds: int(a.ConnectionTimeoutSeconds), TroubleshootingURL: a.TroubleshootingURL,
		Subsystems: a.Subsystems, DisplayApps: a.Config.DisplayApps,
		LogSources: []api.LogSource{}, Scripts: []api.Script{}, StartupScriptBehavior: "non-blocking",
	}
	if out.DisplayApps == nil {
		out.DisplayApps = displayApps
	}
	for _, app := range a.Config.Apps {
		shown := appJSON(app, s.volatile.appHealth(a.ID, app))
		if status, is := s.volatile.statuses(a.ID)[app.Slug]; is {
			shown.Statuses = append(shown.Statuses, status)
		}
		out.Apps = append(out.Apps, shown)
	}
	for _, script := range a.Config.Scripts {
		out.Scripts = append(out.Scripts, scriptJSON(script))
		out.LogSources = append(out.LogSources, api.LogSource{WorkspaceAgentID: a.ID, ID: script.LogSourceID, CreatedAt: a.CreatedAt, DisplayName: script.Name, Icon: script.Icon})
		if script.RunOnStart && script.BlocksLogin {
			out.StartupScriptBehavior = "blocking"
		}
	}
	out.Health = agentHealth(out, s.volatile.fullOf(a.ID))
	return out
}

func scriptJSON(s store.AgentScript) api.Script {
	return api.Script{
		ID: s.ID, LogSourceID: s.LogSourceID, LogPath: s.LogPath, Script: s.Script, Cron: s.Cron, RunOnStart: s.RunOnStart,
		RunOnStop: s.RunOnStop, StartBlocksLogin: s.BlocksLogin, Timeout: s.Timeout, DisplayName: s.Name,
	}
}

func appJSON(a store.AgentApp, health string) api.App {
	out := api.App{
		ID: a.ID, URL: a.URL, External: a.External, Slug: a.Slug, DisplayName: a.Name, Command: a.Command, Icon: a.Icon,
		Subdomain: a.Subdomain, SharingLevel: a.Share, Health: health, Hidden: a.Hidden, OpenIn: a.OpenIn, Group: a.Group,
		Healthcheck: api.Healthcheck{URL: a.HealthURL, Interval: int(a.HealthEvery / time.Second), Threshold: a.Threshold}, Statuses: []api.AppStatus{},
	}
	return out
}

// agentStatus says whether an agent is in contact. A session that this server
// holds is the only proof that it is.
func agentStatus(a store.Agent, connected bool, now time.Time) api.AgentStatus {
	timeout := time.Duration(a.ConnectionTimeoutSeconds) * time.Second
	switch {
	case connected:
		return api.AgentConnected
	case !a.FirstConnectedAt.IsZero():
		return api.AgentDisconnected
	case timeout > 0 && now.Sub(a.CreatedAt) > timeout:
		return api.AgentTimeout
	}
	return api.AgentConnecting
}

func agentHealth(a api.Agent, full []string) api.AgentHealth {
	switch {
	case a.Status == api.AgentDisconnected:
		return api.AgentHealth{Reason: "the connection to the agent is lost"}
	case a.Status == api.AgentTimeout:
		return api.AgentHealth{Reason: "the agent has not connected in time"}
	case a.LifecycleState == api.LifecycleStartTimeout:
		return api.AgentHealth{Reason: "a start script takes longer than it may"}
	case a.LifecycleState == api.LifecycleStartError:
		return api.AgentHealth{Reason: "a start script failed"}
	case a.LifecycleState == api.LifecycleShuttingDown:
		return api.AgentHealth{Reason: "the agent is stopping"}
	case len(full) > 0:
		return api.AgentHealth{Reason: "nearly full: " + strings.Join(full, ", ")}
	}
	return api.AgentHealth{Healthy: true}
}
