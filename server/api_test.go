package server

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/store"
)

func TestFirstUserAndLogin(t *testing.T) {
	each(t, func(t *testing.T, d *deployment) {
		c := d.client()
		if a := d.call("GET", "/healthz", "", ""); string(a.body) != "OK" {
			t.Errorf("GET /healthz = %q, want OK", a.body)
		}
		info, err := c.BuildInfo(t.Context())
		if err != nil || info.Version != api.Version || info.DeploymentID == uuid.Nil.String() {
			t.Errorf("BuildInfo = %+v, %v", info, err)
		}
		if has, err := c.HasFirstUser(t.Context()); has || err != nil {
			t.Errorf("HasFirstUser of a new server = %v, %v", has, err)
		}
		if _, err := c.CreateFirstUser(t.Context(), api.CreateFirstUserRequest{Email: email, Username: "ada", Password: "guess"}); api.StatusCode(err) != http.StatusBadRequest {
			t.Errorf("CreateFirstUser with a weak password = %v, want 400", err)
		}
		first, err := c.CreateFirstUser(t.Context(), api.CreateFirstUserRequest{Email: email, Username: "ada", Password: password})
		if err != nil || first.OrganizationID != d.org.ID {
			t.Fatalf("CreateFirstUser = %+v, %v", first, err)
		}
		login, err := c.Login(t.Context(), api.LoginRequest{Email: email, Password: password})
		if err != nil {
			t.Fatal(err)
		}
		owner := d.client()
		owner.Token = login.SessionToken
		if has, err := c.HasFirstUser(t.Context()); !has || err != nil {
			t.Errorf("HasFirstUser afterwards = %v, %v", has, err)
		}
		_, err = c.CreateFirstUser(t.Context(), api.CreateFirstUserRequest{Email: "b@example.com", Username: "b", Password: password})
		if api.StatusCode(err) != http.StatusConflict {
			t.Errorf("second CreateFirstUser = %v, want 409", err)
		}
		me, err := owner.User(t.Context(), api.Me)
		if err != nil || me.Username != "ada" || len(me.Roles) != 1 || me.Roles[0].Name != "owner" || len(me.OrganizationIDs) != 1 {
			t.Errorf("User(me) = %+v, %v", me, err)
		}
		if err := owner.Logout(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := owner.User(t.Context(), api.Me); api.StatusCode(err) != http.StatusUnauthorized {
			t.Errorf("User(me) after logout = %v, want 401", err)
		}
	})
}

func TestWorkspaceLife(t *testing.T) {
	each(t, func(t *testing.T, d *deployment) {
		c := d.owner()
		ctx := t.Context()
		ws := d.workspace(c, "blue")
		if ws.LatestBuild.Status != api.BuildRunning || len(ws.LatestBuild.Resources) != 1 || len(ws.LatestBuild.Resources[0].Agents) != 1 {
			t.Fatalf("new workspace: build %+v, want running with one agent", ws.LatestBuild)
		}
		agent := ws.LatestBuild.Resources[0].Agents[0]
		if agent.Status != api.AgentConnecting || agent.LifecycleState != api.LifecycleCreated {
			t.Errorf("new agent is %s, %s", agent.Status, agent.LifecycleState)
		}
		cred, err := c.ExternalAgentCredentials(ctx, ws.ID, "main")
		if err != nil || uuid.Validate(cred.AgentToken) != nil || !strings.Contains(cred.Command, "CODER_AGENT_TOKEN="+cred.AgentToken) {
			t.Errorf("ExternalAgentCredentials = %+v, %v", cred, err)
		}
		if _, err := c.CreateWorkspace(ctx, api.Me, api.CreateWorkspaceRequest{TemplateID: &store.BYOTemplateID, Name: "Blue"}); api.StatusCode(err) != http.StatusConflict {
			t.Errorf("CreateWorkspace with a taken name = %v, want 409", err)
		}
		for _, step := range []struct {
			do   api.Transition
			want api.BuildStatus
		}{{api.TransitionStop, api.BuildStopped}, {api.TransitionStart, api.BuildRunning}, {api.TransitionDelete, api.BuildDeleted}} {
			b, err := c.CreateBuild(ctx, ws.ID, api.CreateBuildRequest{Transition: step.do, Reason: "cli"})
			if err != nil || b.Status != step.want || b.Job.Status != api.JobSucceeded {
				t.Fatalf("CreateBuild(%s) = %s, %v, want %s", step.do, b.Status, err, step.want)
			}
			if again, err := c.Build(ctx, b.ID); err != nil || again.BuildNumber != b.BuildNumber {
				t.Errorf("Build = %+v, %v", again, err)
			}
		}
		if _, err := c.WorkspaceByName(ctx, api.Me, "blue"); api.StatusCode(err) != http.StatusNotFound {
			t.Errorf("WorkspaceByName after the delete = %v, want 404", err)
		}
		if a := d.call("GET", "/api/v2/workspaces/"+ws.ID.String()+"?include_deleted=true", c.Token, ""); a.StatusCode != http.StatusOK {
			t.Errorf("GET with include_deleted = %d %s", a.StatusCode, a.body)
		}
	})
}

func TestListWorkspaces(t *testing.T) {
	each(t, func(t *testing.T, d *deployment) {
		c := d.owner()
		other := d.member("bob")
		d.workspace(c, "blue")
		stopped := d.workspace(c, "red-fox")
		d.workspace(other, "green")
		if _, err := c.CreateBuild(t.Context(), stopped.ID, api.CreateBuildRequest{Transition: api.TransitionStop}); err != nil {
			t.Fatal(err)
		}
		for q, want := range map[string][]string{
			"":                              {"blue", "green", "red-fox"},
			"owner:me":                      {"blue", "red-fox"},
			`owner:"me" status:running`:     {"blue"},
			"owner:bob":                     {"green"},
			"BLU":                           {"blue"},
			"bob/green":                     {"green"},
			"status:stopped":                {"red-fox"},
			"template:byo name:fox":         {"red-fox"},
			"template:other":                {},
			"organization:elsewhere":        {},
			"id:" + stopped.ID.String():     {"red-fox"},
			"organization:default green":    {"green"},
			"owner:me organization:default": {"blue", "red-fox"},
		} {
			list, err := c.Workspaces(t.Context(), q, 0)
			if got := names(list.Workspaces); err != nil || !slices.Equal(got, want) || list.Count != len(want) {
				t.Errorf("Workspaces(%q) = %v (count %d), %v, want %v", q, got, list.Count, err, want)
			}
		}
		if list, err := other.Workspaces(t.Context(), "", 0); err != nil || !slices.Equal(names(list.Workspaces), []string{"green"}) {
			t.Errorf("Workspaces of a member = %v, %v, want its own", names(list.Workspaces), err)
		}
		if list, err := other.Workspaces(t.Context(), "owner:ada", 0); err != nil || len(list.Workspaces) != 0 {
			t.Errorf("Workspaces(owner:ada) of a member = %v, %v, want none", names(list.Workspaces), err)
		}
		for _, q := range []string{"status:sleeping", "nokey:1", "name:a name:b", "owner:a:b", `"open`, "id:1", "a b"} {
			_, err := c.Workspaces(t.Context(), q, 0)
			var e *api.Error
			if !asError(err, &e) || e.StatusCode != http.StatusBadRequest || len(e.Validations) != 1 || e.Validations[0].Field != "q" {
				t.Errorf("Workspaces(%q) = %v, want 400 with a validation of q", q, err)
			}
		}
	})
}

func names(list []api.Workspace) []string {
	out := []string{}
	for _, ws := range list {
		out = append(out, ws.Name)
	}
	slices.Sort(out)
	return out
}

func asError(err error, into **api.Error) bool {
	e, is := err.(*api.Error)
	*into = e
	return is
}

func TestOthersWorkspacesDoNotExist(t *testing.T) {
	each(t, func(t *testing.T, d *deployment) {
		owner, other := d.owner(), d.member("bob")
		ws := d.workspace(owner, "blue")
		agent := ws.LatestBuild.Resources[0].Agents[0].ID.String()
		for _, path := range []string{
			"/api/v2/workspaces/" + ws.ID.String(),
			"/api/v2/workspaces/" + ws.ID.String() + "/watch",
			"/api/v2/workspaces/" + ws.ID.String() + "/external-agent/main/credentials",
			"/api/v2/workspacebuilds/" + ws.LatestBuild.ID.String(),
			"/api/v2/workspaceagents/" + agent,
			"/api/v2/workspaceagents/" + agent + "/connection",
			"/api/v2/workspaceagents/" + agent + "/coordinate?version=2.0",
			"/api/v2/users/ada/workspace/blue",
			"/api/v2/users/ada",
			"/api/v2/workspaces/" + uuid.NewString(),
		} {
			a := d.call("GET", path, other.Token, "")
			p := a.problem(t)
			if a.StatusCode != http.StatusNotFound || p.Message != "Resource not found or you do not have access to this resource" {
				t.Errorf("GET %s = %d %q, want the 404 of what does not exist", path, a.StatusCode, p.Message)
			}
		}
	})
}
