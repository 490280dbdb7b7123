package server

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

func schedule(t *testing.T, text string) api.Schedule {
	t.Helper()
	s, err := api.ParseSchedule(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAutostartIsSetAndShown(t *testing.T) {
	d := start(t, Config{})
	ctx, c, other := t.Context(), d.owner(), d.member("bob")
	ws := d.workspace(c, "blue")
	if ws.AutostartSchedule != nil || ws.NextStartAt != nil || ws.AutomaticUpdates != api.UpdateNever || ws.Favorite {
		t.Errorf("new workspace = %+v, want no schedule", ws)
	}
	if err := c.UpdateAutostart(ctx, ws.ID, schedule(t, "CRON_TZ=Europe/Berlin 30 9 * * MON-FRI")); err != nil {
		t.Fatal(err)
	}
	ws, err := c.Workspace(ctx, ws.ID)
	if err != nil || ws.AutostartSchedule == nil || *ws.AutostartSchedule != "CRON_TZ=Europe/Berlin 30 9 * * 1-5" {
		t.Fatalf("schedule = %v, %v", ws.AutostartSchedule, err)
	}
	if left := time.Until(*ws.NextStartAt); left <= 0 || left > 4*24*time.Hour || ws.NextStartAt.Minute() != 30 {
		t.Errorf("next start at %v, want half past nine of a day to come", ws.NextStartAt)
	}
	if err := other.UpdateAutostart(ctx, ws.ID, api.Schedule{}); api.StatusCode(err) != http.StatusNotFound {
		t.Errorf("UpdateAutostart of another's workspace = %v, want 404", err)
	}
	if err := c.UpdateAutostart(ctx, ws.ID, api.Schedule{}); err != nil {
		t.Fatal(err)
	}
	if ws, err = c.Workspace(ctx, ws.ID); err != nil || ws.AutostartSchedule != nil || ws.NextStartAt != nil {
		t.Errorf("after none was set: %v, %v, %v", ws.AutostartSchedule, ws.NextStartAt, err)
	}
	text := "CRON_TZ=UTC 0 7 * * *"
	made, err := c.CreateWorkspace(ctx, api.Me, api.CreateWorkspaceRequest{
		TemplateID: &store.BYOTemplateID, Name: "green", AutostartSchedule: &text, AutomaticUpdates: api.UpdateAlways,
	})
	if err != nil || *made.AutostartSchedule != text || made.NextStartAt == nil || made.AutomaticUpdates != api.UpdateAlways {
		t.Errorf("made with a schedule: %+v, %v", made, err)
	}
}

func TestStartBySchedule(t *testing.T) {
	each(t, func(t *testing.T, d *deployment) {
		ctx, c := t.Context(), d.owner()
		ws := d.workspace(c, "blue")
		if _, err := c.CreateBuild(ctx, ws.ID, api.CreateBuildRequest{Transition: api.TransitionStop}); err != nil {
			t.Fatal(err)
		}
		if err := d.store.SetAutostart(ctx, ws.ID, "CRON_TZ=UTC 30 9 * * *", time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		d.rescheduled(ws.ID)
		started := d.awaitStatus(c, ws.ID, api.BuildRunning)
		if b := started.LatestBuild; b.Reason != "autostart" || b.InitiatorName != "ada" || b.BuildNumber != 3 {
			t.Errorf("build at the time of the schedule = %+v, want autostart, for the owner", b)
		}
	})
}

// What cannot or need not be started waits for its next time.
func TestStartByScheduleIsPassed(t *testing.T) {
	d := start(t, Config{})
	ctx, owner, bob := t.Context(), d.owner(), d.member("bob")
	running, suspended := d.workspace(owner, "blue"), d.workspace(bob, "green")
	if _, err := bob.CreateBuild(ctx, suspended.ID, api.CreateBuildRequest{Transition: api.TransitionStop}); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.SuspendUser(ctx, "bob"); err != nil {
		t.Fatal(err)
	}
	for _, before := range []api.Workspace{running, suspended} {
		// Far in the future, so that the loop of the server leaves it to us.
		at := time.Now().Add(time.Hour)
		if err := d.store.SetAutostart(ctx, before.ID, "CRON_TZ=UTC 30 9 * * *", at); err != nil {
			t.Fatal(err)
		}
		if err := d.startFor(ctx, before.ID); err != nil {
			t.Fatal(err)
		}
		ws, err := d.store.WorkspaceByID(ctx, before.ID)
		if err != nil || ws.LatestBuild.Reason == "autostart" {
			t.Errorf("%s was built for %s, %v, want no start", ws.Name, ws.LatestBuild.Reason, err)
		}
		if ws.NextStartAt.UTC().Format("15:04:05") != "09:30:00" {
			t.Errorf("next start of %s at %v, want the next time of the schedule", ws.Name, ws.NextStartAt)
		}
	}
	// A schedule that nothing can be made of ends.
	if err := d.store.SetAutostart(ctx, running.ID, "CRON_TZ=No/Where 30 9 * * *", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := d.startFor(ctx, running.ID); err != nil {
		t.Fatal(err)
	}
	if ws, err := d.store.WorkspaceByID(ctx, running.ID); err != nil || !ws.NextStartAt.IsZero() {
		t.Errorf("next start in a zone that there is not: %v, %v, want none", ws.NextStartAt, err)
	}
}

// While another build is under way the start waits.
func TestStartByScheduleWaits(t *testing.T) {
	d := start(t, Config{})
	ctx, c := t.Context(), d.owner()
	ws := d.workspace(c, "blue")
	row, err := d.store.WorkspaceByID(ctx, ws.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.store.CreateBuild(ctx, ws.ID, store.NewBuild{Transition: store.TransitionStop, InitiatorID: row.OwnerID}); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	if err := d.store.SetAutostart(ctx, ws.ID, "CRON_TZ=UTC 30 9 * * *", at); err != nil {
		t.Fatal(err)
	}
	if err := d.startFor(ctx, ws.ID); err == nil {
		t.Error("startFor during a stop succeeded, want an error, so that it is tried again")
	}
	if row, err = d.store.WorkspaceByID(ctx, ws.ID); err != nil || !row.NextStartAt.Equal(at) {
		t.Errorf("next start = %v, %v, want it to stay %v", row.NextStartAt, err, at)
	}
}

func TestFavorites(t *testing.T) {
	d := start(t, Config{})
	ctx, owner, bob := t.Context(), d.owner(), d.member("bob")
	d.workspace(bob, "a")
	ws := d.workspace(bob, "b")
	if err := bob.SetFavorite(ctx, ws.ID, true); err != nil {
		t.Fatal(err)
	}
	if err := owner.SetFavorite(ctx, ws.ID, true); api.StatusCode(err) != http.StatusForbidden {
		t.Errorf("SetFavorite of another's workspace = %v, want 403", err)
	}
	for _, tc := range []struct {
		who   string
		c     *api.Client
		first string
	}{{"its owner", bob, "b"}, {"another", owner, "a"}} {
		list, err := tc.c.Workspaces(ctx, "", 0)
		if err != nil || list.Workspaces[0].Name != tc.first || list.Workspaces[0].Favorite != (tc.first == "b") {
			t.Errorf("list for %s begins with %+v, %v, want %s", tc.who, list.Workspaces[0], err, tc.first)
		}
	}
	if now, err := owner.Workspace(ctx, ws.ID); err != nil || now.Favorite {
		t.Errorf("another's favorite is shown as one: %v, %v", now.Favorite, err)
	}
	if err := bob.SetFavorite(ctx, ws.ID, false); err != nil {
		t.Fatal(err)
	}
	if now, err := bob.Workspace(ctx, ws.ID); err != nil || now.Favorite {
		t.Errorf("favorite after unfavorite: %v, %v", now.Favorite, err)
	}
}

func TestAutomaticUpdates(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	ws := d.workspace(c, "blue")
	if err := c.UpdateAutomaticUpdates(t.Context(), ws.ID, api.UpdateAlways); err != nil {
		t.Fatal(err)
	}
	if now, err := c.Workspace(t.Context(), ws.ID); err != nil || now.AutomaticUpdates != api.UpdateAlways {
		t.Errorf("automatic updates = %q, %v, want always", now.AutomaticUpdates, err)
	}
}

// State is for owners of the site: not for the workspace's own user, not for who
// manages templates.
func TestBuildState(t *testing.T) {
	d := start(t, Config{})
	ctx, owner, bob, tim := t.Context(), d.owner(), d.member("bob"), d.member("tim")
	if _, err := owner.UpdateRoles(ctx, "tim", []string{auth.RoleTemplateAdmin}); err != nil {
		t.Fatal(err)
	}
	ws := d.workspace(bob, "blue")
	b := ws.LatestBuild.ID
	if state, err := owner.BuildState(ctx, b); err != nil || len(state) != 0 {
		t.Errorf("BuildState = %q, %v, want none", state, err)
	}
	const state = `{"serial":1}`
	for who, c := range map[string]*api.Client{"its user": bob, "template admin": tim} {
		if _, err := c.BuildState(ctx, b); api.StatusCode(err) != http.StatusForbidden {
			t.Errorf("BuildState by %s = %v, want 403", who, err)
		}
		if err := c.SetBuildState(ctx, b, []byte(state)); api.StatusCode(err) != http.StatusForbidden {
			t.Errorf("SetBuildState by %s = %v, want 403", who, err)
		}
	}
	req := api.CreateBuildRequest{Transition: api.TransitionStart, State: []byte(state)}
	if _, err := bob.CreateBuild(ctx, ws.ID, req); api.StatusCode(err) != http.StatusForbidden {
		t.Errorf("CreateBuild with a state by its user = %v, want 403", err)
	}
	next, err := owner.CreateBuild(ctx, ws.ID, req)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := owner.BuildState(ctx, next.ID); err != nil || string(got) != state {
		t.Errorf("BuildState = %q, %v, want %q", got, err, state)
	}
	if err := owner.SetBuildState(ctx, next.ID, []byte("other")); err != nil {
		t.Fatal(err)
	}
	last, err := bob.CreateBuild(ctx, ws.ID, api.CreateBuildRequest{Transition: api.TransitionStop})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := owner.BuildState(ctx, last.ID); err != nil || string(got) != "other" {
		t.Errorf("BuildState of the next build = %q, %v, want what was set", got, err)
	}
	if strings.Contains(d.logs.String(), "serial") {
		t.Error("the log has a state in it")
	}
}
