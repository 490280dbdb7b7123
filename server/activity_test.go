package server

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	agentproto "github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/server/api"
)

func TestBumped(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		what     string
		deadline time.Time
		worth    bool
	}{
		{"none", time.Time{}, false},
		{"past", now.Add(-time.Minute), true},
		{"soon", now.Add(10 * time.Minute), true},
		{"a step less than the bump", now.Add(57 * time.Minute), true},
		{"just bumped", now.Add(57*time.Minute + time.Second), false},
		{"far away", now.Add(8 * time.Hour), false},
	} {
		if later, worth := bumped(tc.deadline, now, time.Hour); worth != tc.worth || !later.Equal(now.Add(time.Hour)) {
			t.Errorf("bumped with a deadline that is %s = %v, %v, want in an hour, %v", tc.what, later, worth, tc.worth)
		}
	}
	if later, worth := bumped(now.Add(time.Minute), now, 0); worth {
		t.Errorf("bumped by nothing = %v, true, want false", later)
	}
}

func TestLeaseEnd(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		age, wanted, want time.Duration
		left              bool
	}{
		{0, time.Hour, time.Hour, true},
		{0, 48 * time.Hour, 24 * time.Hour, true},
		{23 * time.Hour, 3 * time.Hour, time.Hour, true},
		{24 * time.Hour, time.Hour, 0, false},
		{30 * time.Hour, time.Hour, -6 * time.Hour, false},
	} {
		if end, left := leaseEnd(now.Add(-tc.age), now, tc.wanted, 24*time.Hour); end.Sub(now) != tc.want || left != tc.left {
			t.Errorf("leaseEnd(%v old, %v) = in %v, %v, want in %v, %v", tc.age, tc.wanted, end.Sub(now), left, tc.want, tc.left)
		}
	}
}

func TestInUse(t *testing.T) {
	metric := func(v float64) []*agentproto.Stats_Metric {
		return []*agentproto.Stats_Metric{{Name: agentproto.MetricInput, Value: v}}
	}
	for want, s := range map[string]*agentproto.Stats{
		"":       {SessionCounts: map[string]int64{"vscode": 1}, SessionCountVscode: 1, Metrics: metric(0)},
		"input":  {Metrics: metric(1)},
		"vscode": {SessionCounts: map[string]int64{"vscode": 1, "x": 1, "a": 0}},
		"ssh":    {SessionCountSsh: 1, ConnectionCount: 1},
	} {
		if got := inUse(s); got != want {
			t.Errorf("inUse(%v) = %q, want %q", s, got, want)
		}
	}
	if got := inUse(&agentproto.Stats{ConnectionCount: 3}); got != "" {
		t.Errorf("connections alone are %q, want no use", got)
	}
}

// awaitStatus watches a workspace until its latest build has a status.
func (d *deployment) awaitStatus(c *api.Client, ws uuid.UUID, want api.BuildStatus) api.Workspace {
	d.t.Helper()
	events := d.watch(c, ws)
	for {
		if now := events.next(); now.LatestBuild.Status == want {
			return now
		}
	}
}

func TestStopAtTheDeadline(t *testing.T) {
	each(t, func(t *testing.T, d *deployment) {
		c := d.owner()
		ws := d.workspace(c, "blue")
		if err := d.store.SetTTL(t.Context(), ws.ID, time.Second); err != nil {
			t.Fatal(err)
		}
		d.rescheduled(ws.ID)
		stopped := d.awaitStatus(c, ws.ID, api.BuildStopped)
		if stopped.LatestBuild.Reason != "autostop" || stopped.LatestBuild.InitiatorName != "ada" {
			t.Errorf("build at the deadline = %+v, want autostop, for the owner", stopped.LatestBuild)
		}
	})
}

// TestStopIsPutOff races an extension with the stop: what is extended goes on.
func TestStopIsPutOff(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	ws := d.workspace(c, "blue")
	if err := d.store.SetTTL(t.Context(), ws.ID, time.Second); err != nil {
		t.Fatal(err)
	}
	if err := d.extend(t.Context(), ws.ID, time.Now().Add(time.Hour), "test"); err != nil {
		t.Fatal(err)
	}
	if err := d.stopFor(t.Context(), ws.ID); err == nil {
		t.Error("a workspace was stopped whose deadline is in an hour")
	}
	if now, err := c.Workspace(t.Context(), ws.ID); err != nil || now.LatestBuild.Status != api.BuildRunning {
		t.Errorf("workspace = %s, %v, want running", now.LatestBuild.Status, err)
	}
}

func TestUsePutsTheDeadlineOff(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	ws := d.workspace(c, "blue")
	if err := c.UpdateTTL(t.Context(), ws.ID, 5*time.Minute); err != nil {
		t.Fatal(err)
	}
	now := time.Now().Add(2 * time.Minute)
	for _, at := range []time.Time{now, now.Add(30 * time.Second), now.Add(2 * time.Minute), now.Add(4 * time.Minute)} {
		if err := d.usedAt(t.Context(), ws.ID, "input", at); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.Activity(t.Context(), ws.ID)
	if err != nil || len(got.Extensions) != 2 || got.Extensions[0].Cause != "input" || !got.Extensions[0].Deadline.After(got.Extensions[1].Deadline) {
		t.Errorf("activity after four uses = %+v, %v, want the first and the last to count: they are a step apart", got, err)
	}
}

func TestLeasesOfUsersAndAgents(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	ws := d.workspace(c, "blue")
	other := d.workspace(c, "green")
	if err := c.UpdateTTL(t.Context(), ws.ID, 5*time.Minute); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	mine, err := c.WorkspaceLeases(ws.ID).Create(ctx, api.LeaseRequest{Seconds: 3 * 3600, Reason: "training\x1b[31m"})
	if err != nil || time.Until(mine.ExpiresAt) < 2*time.Hour || mine.Holder != "ada" || strings.Contains(mine.Reason, "\x1b") {
		t.Fatalf("lease = %+v, %v, want three hours for ada, and a reason that can be printed", mine, err)
	}
	long, err := c.WorkspaceLeases(ws.ID).Create(ctx, api.LeaseRequest{Seconds: 7 * 24 * 3600})
	if err != nil || time.Until(long.ExpiresAt) > 24*time.Hour {
		t.Errorf("lease of a week = %+v, %v, want a day of it", long, err)
	}
	agent := d.client()
	agent.Token = d.agentToken(c, ws)
	its, err := agent.AgentLeases().Create(ctx, api.LeaseRequest{Seconds: 300, Reason: "make"})
	if err != nil || its.Holder != "agent main" {
		t.Fatalf("lease of the agent = %+v, %v", its, err)
	}
	if _, err := agent.AgentLeases().Renew(ctx, its.ID, api.LeaseRequest{Seconds: 300}); err != nil {
		t.Errorf("renew: %v", err)
	}
	stranger := d.client()
	stranger.Token = d.agentToken(c, other)
	eve := d.member("eve")
	for what, err := range map[string]error{
		"another workspace's agent": only(stranger.AgentLeases().Renew(ctx, its.ID, api.LeaseRequest{Seconds: 300})),
		"its end":                   stranger.AgentLeases().End(ctx, its.ID),
		"another user":              only(eve.WorkspaceLeases(ws.ID).Create(ctx, api.LeaseRequest{Seconds: 300})),
		"another user's look":       only(eve.Activity(ctx, ws.ID)),
	} {
		if api.StatusCode(err) != http.StatusNotFound {
			t.Errorf("%s: %v, want 404", what, err)
		}
	}
	for what, seconds := range map[string]int64{"none": 0, "negative": -1, "a year": 366 * 24 * 3600} {
		if _, err := c.WorkspaceLeases(ws.ID).Create(ctx, api.LeaseRequest{Seconds: seconds}); api.StatusCode(err) != http.StatusBadRequest {
			t.Errorf("lease of %s seconds: %v, want 400", what, err)
		}
	}
	got, err := c.Activity(ctx, ws.ID)
	if err != nil || len(got.Leases) != 3 || len(got.Extensions) != 2 {
		t.Errorf("activity = %+v, %v, want three leases, of which two put the deadline off", got, err)
	}
	if err := agent.AgentLeases().End(ctx, its.ID); err != nil {
		t.Errorf("end: %v", err)
	}
}

func only[T any](_ T, err error) error { return err }

func TestTTLAndExtend(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	ws := d.workspace(c, "blue")
	path := "/api/v2/workspaces/" + ws.ID.String()
	for body, status := range map[string]int{
		`{"ttl_ms":59999}`: 400, `{"ttl_ms":-1}`: 400, `{"ttl_ms":9223372036854775807}`: 400, `{"ttl_ms":"x"}`: 400,
		`{"ttl_ms":null}`: 204, `{"ttl_ms":0}`: 204,
	} {
		if a := d.call("PUT", path+"/ttl", c.Token, body); a.StatusCode != status {
			t.Errorf("PUT ttl %s = %d, want %d", body, a.StatusCode, status)
		}
	}
	if err := c.Extend(t.Context(), ws.ID, time.Now().Add(time.Hour)); api.StatusCode(err) != http.StatusConflict {
		t.Errorf("extension of a workspace that never stops: %v, want 409", err)
	}
	if err := c.UpdateTTL(t.Context(), ws.ID, time.Hour); err != nil {
		t.Fatal(err)
	}
	for in, status := range map[time.Duration]int{-time.Hour: 400, 31 * 24 * time.Hour: 400, 30 * time.Minute: 304, 2 * time.Hour: 200} {
		body := `{"deadline":"` + time.Now().Add(in).Format(time.RFC3339) + `"}`
		if a := d.call("PUT", path+"/extend", c.Token, body); a.StatusCode != status {
			t.Errorf("PUT extend in %v = %d %s, want %d", in, a.StatusCode, a.body, status)
		}
	}
	now, err := c.Workspace(t.Context(), ws.ID)
	if err != nil || now.TTLMillis == nil || *now.TTLMillis != 3600_000 || now.LatestBuild.Deadline == nil || time.Until(*now.LatestBuild.Deadline) < 119*time.Minute {
		t.Errorf("workspace = %v, %v, %v, want an hour and the extended deadline", now.TTLMillis, now.LatestBuild.Deadline, err)
	}
}

// TestTasksThatWork hold a lease until they say something else.
func TestTasksThatWork(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	ws := d.configured(c, "blue", "apps: [{slug: robot, command: robot}]")
	if err := c.UpdateTTL(t.Context(), ws.ID, time.Minute); err != nil {
		t.Fatal(err)
	}
	token := d.agentToken(c, ws)
	a := d.connect(token)
	say := func(state agentproto.UpdateAppStatusRequest_AppStatusState, message string) {
		t.Helper()
		if _, err := a.UpdateAppStatus(t.Context(), &agentproto.UpdateAppStatusRequest{Slug: "robot", State: state, Message: message}); err != nil {
			t.Fatal(err)
		}
	}
	leases := func() []api.Lease {
		t.Helper()
		got, err := c.Activity(t.Context(), ws.ID)
		if err != nil {
			t.Fatal(err)
		}
		return got.Leases
	}
	say(agentproto.UpdateAppStatusRequest_WORKING, "reading the code")
	say(agentproto.UpdateAppStatusRequest_WORKING, "writing tests")
	if got := leases(); len(got) != 1 || got[0].Holder != "task robot" || time.Until(got[0].ExpiresAt) < 4*time.Minute {
		t.Errorf("leases while the task works = %+v, want one for some minutes", got)
	}
	if now, err := c.Workspace(t.Context(), ws.ID); err != nil || time.Until(*now.LatestBuild.Deadline) < 4*time.Minute {
		t.Errorf("deadline while the task works = %v, %v, want it put off", now.LatestBuild.Deadline, err)
	}
	if now, err := c.Agent(t.Context(), ws.LatestBuild.Resources[0].Agents[0].ID); err != nil || len(now.Apps[0].Statuses) != 1 || now.Apps[0].Statuses[0].Message != "writing tests" {
		t.Errorf("status of the app = %+v, %v, want what it said last", now.Apps, err)
	}
	if _, err := a.UpdateStats(t.Context(), &agentproto.UpdateStatsRequest{}); err != nil {
		t.Errorf("UpdateStats: %v", err)
	}
	say(agentproto.UpdateAppStatusRequest_IDLE, "")
	if got := leases(); len(got) != 0 {
		t.Errorf("leases of an idle task = %+v, want none", got)
	}
	for body, status := range map[string]int{
		`{"app_slug":"robot","state":"working","message":"x"}`:                             200,
		`{"app_slug":"robot","state":"complete","uri":"https://example.com/pull/1"}`:       200,
		`{"app_slug":"other","state":"working"}`:                                           400,
		`{"app_slug":"robot","state":"dancing"}`:                                           400,
		`{"app_slug":"robot","state":"idle","uri":"javascript:alert(1)"}`:                  400,
		`{"app_slug":"robot","state":"idle","message":"` + strings.Repeat("x", 161) + `"}`: 400,
	} {
		if got := d.call("PATCH", "/api/v2/workspaceagents/me/app-status", token, body); got.StatusCode != status {
			t.Errorf("PATCH app-status %s = %d %s, want %d", body, got.StatusCode, got.body, status)
		}
	}
	if got := d.call("PATCH", "/api/v2/workspaceagents/me/app-status", c.Token, `{"app_slug":"robot","state":"idle"}`); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("app-status with a user's token = %d, want 401", got.StatusCode)
	}
}
