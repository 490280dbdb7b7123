package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	agentproto "github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/tailnet/wire"
)

// fakeAgent is the agent's end of its session.
type fakeAgent struct {
	*wire.Conn
	agentproto.DRPCAgentClient
	token string
}

// agentToken is the token of the agent of a workspace.
func (d *deployment) agentToken(c *api.Client, ws api.Workspace) string {
	d.t.Helper()
	cred, err := c.ExternalAgentCredentials(d.t.Context(), ws.ID, "main")
	if err != nil {
		d.t.Fatalf("ExternalAgentCredentials: %v", err)
	}
	return cred.AgentToken
}

func (d *deployment) connect(token string) fakeAgent {
	d.t.Helper()
	c := d.client()
	c.Token = token
	conn, err := c.AgentRPC(context.Background())
	if err != nil {
		d.t.Fatalf("AgentRPC: %v", err)
	}
	d.t.Cleanup(func() { conn.Close() })
	return fakeAgent{conn, agentproto.NewDRPCAgentClient(conn), token}
}

// ended waits for the end of the connection and returns what the server said.
func (a fakeAgent) ended(t testing.TB) websocket.CloseError {
	t.Helper()
	select {
	case <-a.Closed():
	case <-t.Context().Done():
		t.Fatal("the session goes on")
	}
	var closed websocket.CloseError
	if cause := a.Cause(); !errors.As(cause, &closed) {
		t.Fatalf("the session ended with %v, want a close frame", cause)
	}
	return closed
}

// waitAgent watches a workspace until its agent is as wanted.
func (d *deployment) waitAgent(c *api.Client, ws uuid.UUID, want func(api.Agent) bool) {
	d.t.Helper()
	events := d.watch(c, ws)
	for {
		now := events.next()
		if want(now.LatestBuild.Resources[0].Agents[0]) {
			return
		}
	}
}

func TestAgentSession(t *testing.T) {
	each(t, func(t *testing.T, d *deployment) {
		c := d.owner()
		ws := d.workspace(c, "blue")
		id := ws.LatestBuild.Resources[0].Agents[0].ID
		a := d.connect(d.agentToken(c, ws))
		ctx := t.Context()

		m, err := a.GetManifest(ctx, &agentproto.GetManifestRequest{})
		if err != nil {
			t.Fatalf("GetManifest: %v", err)
		}
		if uuid.UUID(m.AgentId) != id || uuid.UUID(m.WorkspaceId) != ws.ID || m.WorkspaceName != "blue" || m.OwnerUsername != "ada" || m.AgentName != "main" {
			t.Errorf("Manifest = %v", m)
		}
		if m.DerpMap.GetHomeParams() == nil || len(m.DerpMap.GetRegions()) != 1 {
			t.Errorf("Manifest.derp_map = %v, want a region and home_params", m.DerpMap)
		}
		for what, call := range map[string]func() error{
			"GetAnnouncementBanners": func() error {
				_, err := a.GetAnnouncementBanners(ctx, &agentproto.GetAnnouncementBannersRequest{})
				return err
			},
			"GetServiceBanner": func() error { _, err := a.GetServiceBanner(ctx, &agentproto.GetServiceBannerRequest{}); return err },
			"BatchUpdateMetadata": func() error {
				_, err := a.BatchUpdateMetadata(ctx, &agentproto.BatchUpdateMetadataRequest{})
				return err
			},
			"BatchUpdateAppHealths": func() error {
				_, err := a.BatchUpdateAppHealths(ctx, &agentproto.BatchUpdateAppHealthRequest{})
				return err
			},
			"ReportConnection": func() error {
				id := uuid.New()
				_, err := a.ReportConnection(ctx, &agentproto.ReportConnectionRequest{Connection: &agentproto.Connection{Id: id[:], Ip: "192.0.2.7"}})
				return err
			},
		} {
			if err := call(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		conf, err := a.GetResourcesMonitoringConfiguration(ctx, &agentproto.GetResourcesMonitoringConfigurationRequest{})
		if err != nil || conf.Config.NumDatapoints != 20 || conf.Config.CollectionIntervalSeconds != 10 {
			t.Errorf("GetResourcesMonitoringConfiguration = %v, %v", conf, err)
		}
		stats, err := a.UpdateStats(ctx, &agentproto.UpdateStatsRequest{})
		if err != nil || stats.ReportInterval.AsDuration() <= 0 {
			t.Errorf("UpdateStats = %v, %v, want an interval", stats, err)
		}
		if _, err := a.CreateSubAgent(ctx, &agentproto.CreateSubAgentRequest{}); !wire.Unimplemented(err) {
			t.Errorf("CreateSubAgent = %v, want Unimplemented", err)
		}

		up := &agentproto.Startup{Version: "v2.34.0", ExpandedDirectory: "/home/ada"}
		if got, err := a.UpdateStartup(ctx, &agentproto.UpdateStartupRequest{Startup: up}); err != nil || got.Version != up.Version {
			t.Errorf("UpdateStartup = %v, %v, want an echo", got, err)
		}
		for _, state := range []agentproto.Lifecycle_State{agentproto.Lifecycle_STARTING, agentproto.Lifecycle_READY} {
			l := &agentproto.Lifecycle{State: state, ChangedAt: timestamppb.Now()}
			if got, err := a.UpdateLifecycle(ctx, &agentproto.UpdateLifecycleRequest{Lifecycle: l}); err != nil || got.State != state {
				t.Errorf("UpdateLifecycle(%s) = %v, %v, want an echo", state, got, err)
			}
		}
		got, err := c.Agent(ctx, id)
		if err != nil || got.Status != api.AgentConnected || got.LifecycleState != api.LifecycleReady || got.Version != "v2.34.0" ||
			got.ExpandedDirectory != "/home/ada" || got.APIVersion != "2.0" || got.ReadyAt == nil || got.StartedAt == nil || got.DisconnectedAt != nil {
			t.Errorf("agent = %+v, %v, want it connected and ready", got, err)
		}

		a.Close()
		d.waitAgent(c, ws.ID, func(now api.Agent) bool {
			return now.Status == api.AgentDisconnected && now.DisconnectedAt != nil && !now.Health.Healthy
		})
	})
}

func TestAgentSaysNonsense(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	a := d.connect(d.agentToken(c, d.workspace(c, "blue")))
	ctx := t.Context()
	other := uuid.New()
	for what, call := range map[string]func() error{
		"a version that is none": func() error {
			_, err := a.UpdateStartup(ctx, &agentproto.UpdateStartupRequest{Startup: &agentproto.Startup{Version: "2.34"}})
			return err
		},
		"no startup": func() error { _, err := a.UpdateStartup(ctx, &agentproto.UpdateStartupRequest{}); return err },
		"an unknown subsystem": func() error {
			_, err := a.UpdateStartup(ctx, &agentproto.UpdateStartupRequest{Startup: &agentproto.Startup{Version: "v1.0.0", Subsystems: []agentproto.Startup_Subsystem{99}}})
			return err
		},
		"a directory without end": func() error {
			_, err := a.UpdateStartup(ctx, &agentproto.UpdateStartupRequest{Startup: &agentproto.Startup{Version: "v1.0.0", ExpandedDirectory: strings.Repeat("x", 5000)}})
			return err
		},
		"no lifecycle": func() error { _, err := a.UpdateLifecycle(ctx, &agentproto.UpdateLifecycleRequest{}); return err },
		"an unknown lifecycle": func() error {
			_, err := a.UpdateLifecycle(ctx, &agentproto.UpdateLifecycleRequest{Lifecycle: &agentproto.Lifecycle{State: 77}})
			return err
		},
		"the app of somebody else": func() error {
			_, err := a.BatchUpdateAppHealths(ctx, &agentproto.BatchUpdateAppHealthRequest{Updates: []*agentproto.BatchUpdateAppHealthRequest_HealthUpdate{{Id: other[:]}}})
			return err
		},
		"metadata nobody asked for": func() error {
			_, err := a.BatchUpdateMetadata(ctx, &agentproto.BatchUpdateMetadataRequest{Metadata: []*agentproto.Metadata{{Key: "x"}}})
			return err
		},
		"a connection without an id": func() error {
			_, err := a.ReportConnection(ctx, &agentproto.ReportConnectionRequest{Connection: &agentproto.Connection{Id: []byte("short")}})
			return err
		},
		"a log source that is no id": func() error {
			_, err := a.BatchCreateLogs(ctx, &agentproto.BatchCreateLogsRequest{LogSourceId: []byte("x")})
			return err
		},
	} {
		if err := call(); err == nil || wire.Unimplemented(err) {
			t.Errorf("%s: %v, want a refusal", what, err)
		}
	}
	if _, err := a.GetManifest(ctx, &agentproto.GetManifestRequest{}); err != nil {
		t.Errorf("GetManifest afterwards: %v, want the session to go on", err)
	}
}

// Of two agents with one token the newest wins, and the other is told why.
func TestSecondConnectionOfATokenWins(t *testing.T) {
	each(t, func(t *testing.T, d *deployment) {
		c := d.owner()
		ws := d.workspace(c, "blue")
		first := d.connect(d.agentToken(c, ws))
		if _, err := first.GetManifest(t.Context(), &agentproto.GetManifestRequest{}); err != nil {
			t.Fatal(err)
		}
		second := d.connect(first.token)
		closed := first.ended(t)
		if closed.Code != websocket.StatusPolicyViolation || !strings.HasPrefix(closed.Reason, api.ReasonAgentReplaced) {
			t.Errorf("the first connection was closed with %v, want the reason %q", closed, api.ReasonAgentReplaced)
		}
		if _, err := second.GetManifest(t.Context(), &agentproto.GetManifestRequest{}); err != nil {
			t.Errorf("GetManifest of the second: %v", err)
		}
		got, err := c.Agent(t.Context(), ws.LatestBuild.Resources[0].Agents[0].ID)
		if err != nil || got.Status != api.AgentConnected || got.DisconnectedAt != nil {
			t.Errorf("agent = %s, disconnected at %v, %v; want it connected", got.Status, got.DisconnectedAt, err)
		}
	})
}

func TestBuildEndsTheSession(t *testing.T) {
	each(t, func(t *testing.T, d *deployment) {
		c := d.owner()
		ws := d.workspace(c, "blue")
		token := d.agentToken(c, ws)
		build := func(do api.Transition) {
			t.Helper()
			if _, err := c.CreateBuild(t.Context(), ws.ID, api.CreateBuildRequest{Transition: do}); err != nil {
				t.Fatal(err)
			}
		}
		refused := func(detail string) {
			t.Helper()
			agent := d.client()
			agent.Token = token
			_, err := agent.AgentRPC(t.Context())
			var e *api.Error
			if !errors.As(err, &e) || e.StatusCode != http.StatusUnauthorized || !strings.Contains(e.Detail, detail) {
				t.Errorf("AgentRPC = %v, want 401 with detail %q", err, detail)
			}
		}

		a := d.connect(token)
		build(api.TransitionStop)
		if closed := a.ended(t); closed.Code != websocket.StatusPolicyViolation || closed.Reason != errSuperseded.Error() {
			t.Errorf("session of a stopped workspace was closed with %v", closed)
		}
		refused("not running")

		build(api.TransitionStart)
		if now := d.agentToken(c, ws); now != token {
			t.Error("a start gave the machine another token: somebody would have to paste it")
		}
		a = d.connect(token)
		build(api.TransitionDelete)
		a.ended(t)
		refused(api.DetailAgentTokenDead)
	})
}

func TestAgentLogs(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	ws := d.workspace(c, "blue")
	id := ws.LatestBuild.Resources[0].Agents[0].ID
	a := d.connect(d.agentToken(c, ws))
	write := func(line string) bool {
		t.Helper()
		res, err := a.BatchCreateLogs(t.Context(), &agentproto.BatchCreateLogsRequest{Logs: []*agentproto.Log{{Output: line, Level: agentproto.Log_WARN}}})
		if err != nil {
			t.Fatal(err)
		}
		return res.LogLimitExceeded
	}
	if write("one") || write("two") {
		t.Error("two short lines are too much")
	}
	ws1, _, err := websocket.Dial(t.Context(), d.URL().String()+"/api/v2/workspaceagents/"+id.String()+"/logs?follow&after=1",
		&websocket.DialOptions{HTTPClient: d.http, HTTPHeader: http.Header{api.HeaderToken: {c.Token}}})
	if err != nil {
		t.Fatal(err)
	}
	defer ws1.CloseNow()
	if got := readJSON[[]api.AgentLog](t, ws1); len(got) != 1 || got[0].ID != 2 || got[0].Output != "two" || got[0].Level != "warn" {
		t.Errorf("backlog after 1 = %+v", got)
	}
	write("three")
	if got := readJSON[[]api.AgentLog](t, ws1); len(got) != 1 || got[0].Output != "three" {
		t.Errorf("live = %+v", got)
	}
	if !write(strings.Repeat("x", 1<<20)) || !write("late") {
		t.Error("more than 1 MiB was taken")
	}
	if got, _ := c.Agent(t.Context(), id); !got.LogsOverflowed || got.LogsLength == 0 {
		t.Errorf("agent: logs of %d bytes, overflowed %v", got.LogsLength, got.LogsOverflowed)
	}
	if _, err := a.GetManifest(t.Context(), &agentproto.GetManifestRequest{}); err != nil {
		t.Errorf("GetManifest afterwards: %v, want the session to go on", err)
	}
}
