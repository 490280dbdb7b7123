package server

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/store"
)

func TestSearchWorkspacesByWhatTheyAre(t *testing.T) {
	each(t, func(t *testing.T, d *deployment) {
		c := d.owner()
		d.workspace(c, "plain")
		set, err := c.CreateWorkspace(t.Context(), api.Me, api.CreateWorkspaceRequest{
			TemplateID: &store.BYOTemplateID, Name: "set",
			RichParameterValues: []api.BuildParameter{{Name: "agent_config", Value: "env: {COLOUR: Red}"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		d.waitConnected(c, set, d.connect(d.agentToken(c, set)))
		before, after := time.Now().Add(-time.Hour).Format(time.RFC3339), time.Now().Add(time.Hour).Format(time.RFC3339)
		for q, want := range map[string]string{
			"outdated:false": "plain set", "outdated:true": "",
			"dormant:false": "plain set", "dormant:true": "",
			"shared:true": "", "has-ai-task:true": "", "has_ai_task:false": "plain set",
			"has_external_agent:true": "plain set", "has-external-agent:false": "",
			"has-agent:connected": "set", "has_agent:connecting": "plain", "has-agent:timeout": "",
			"healthy:true": "plain set", "healthy:false": "",
			`last_used_after:"` + before + `"`: "plain set", `last_used_after:"` + after + `"`: "",
			`last-used-before:"` + after + `" name:set`: "set", `last_used_before:"` + before + `"`: "",
			"param:agent_config": "set", `param:"AGENT_CONFIG=env: {colour: red}"`: "set", "param:agent_config=x": "", "param:other": "",
			"param:agent_config param:other": "",
		} {
			found, err := c.Workspaces(t.Context(), q, 0)
			if got := namesOf(found.Workspaces); err != nil || got != want || found.Count != len(found.Workspaces) {
				t.Errorf("search %s = %q, %d, %v, want %q", q, got, found.Count, err, want)
			}
		}
		for _, q := range []string{
			"healthy:maybe", "dormant:x", "has-agent:odd", "last_used_after:yesterday", "last_used_after:2026-11-27T09:30:00Z",
			"param:a param:a", "has-agent:connected has_agent:timeout",
		} {
			if _, err := c.Workspaces(t.Context(), q, 0); api.StatusCode(err) != http.StatusBadRequest {
				t.Errorf("search %s = %v, want 400", q, err)
			}
		}
		a := d.call("GET", "/api/v2/workspaces?limit=1&offset=1&q="+url.QueryEscape("healthy:true"), c.Token, "")
		if body := string(a.body); !strings.Contains(body, `"count":2`) || strings.Contains(body, `"name":"plain"`) || !strings.Contains(body, `"name":"set"`) {
			t.Errorf("second page of one of healthy:true = %s, want set, of 2", body)
		}
	})
}

func namesOf(list []api.Workspace) string {
	var names []string
	for _, ws := range list {
		names = append(names, ws.Name)
	}
	return strings.Join(names, " ")
}

func TestSearchUsersByWhatTheyAre(t *testing.T) {
	each(t, func(t *testing.T, d *deployment) {
		c := d.owner()
		if _, err := d.store.CreateUser(t.Context(), store.NewUser{Username: "bot", Email: "bot@example.com", LoginType: store.LoginNone}); err != nil {
			t.Fatal(err)
		}
		before, after := time.Now().Add(-time.Hour).Format(time.RFC3339), time.Now().Add(time.Hour).Format(time.RFC3339)
		for q, want := range map[string]string{
			"login_type:none": "bot", "login-type:password": "ada", "login_type:github": "",
			`created_after:"` + before + `"`: "ada bot", `created_after:"` + after + `"`: "",
			`created_before:"` + after + `" bot`: "bot", `created_before:"` + before + `"`: "",
			`last_seen_after:"` + before + `"`: "ada", `last_seen_before:"` + before + `"`: "bot", `last_seen_before:"` + after + `"`: "ada bot",
			"github_com_user_id:1": "",
		} {
			found, err := c.Users(t.Context(), q)
			var names []string
			for _, u := range found.Users {
				names = append(names, u.Username)
			}
			if got := strings.Join(names, " "); err != nil || got != want || found.Count != len(names) {
				t.Errorf("search %s = %q, %d, %v, want %q", q, got, found.Count, err, want)
			}
		}
		if _, err := c.Users(t.Context(), "last_seen_after:never"); api.StatusCode(err) != http.StatusBadRequest {
			t.Errorf("search last_seen_after:never = %v, want 400", err)
		}
	})
}
