package main

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
)

func TestNamesOfTargets(t *testing.T) {
	for in, want := range map[string]target{
		"ws":                     {"me", "ws", ""},
		"blue-fox":               {"me", "blue-fox", ""},
		"ws.agent":               {"me", "ws", "agent"},
		"me/ws":                  {"me", "ws", ""},
		"owner/ws":               {"owner", "ws", ""},
		"owner--ws":              {"owner", "ws", ""},
		"owner/ws.agent":         {"owner", "ws", "agent"},
		"owner--ws.agent":        {"owner", "ws", "agent"},
		"owner--ws--agent":       {"owner", "ws", "agent"},
		"owner/ws--agent":        {"owner", "ws", "agent"},
		"an-owner--a-ws--an_one": {"an-owner", "a-ws", "an_one"},
		"agent.ws.owner":         {"owner", "ws", "agent"},
		"agent.ws.owner.coder":   {"owner", "ws", "agent"},
	} {
		got, err := parseTarget(in)
		if err != nil || got != want {
			t.Errorf("parseTarget(%q) = %+v, %v, want %+v", in, got, err, want)
		}
	}
}

func TestNamesThatAreNone(t *testing.T) {
	for _, in := range []string{
		"", ".", "/", "--", "-", "-ws", "ws-", "ws.", ".ws", "/ws", "owner/", "owner/ws.", "owner/ws/agent",
		"owner/ws.a.b", "a.b.c.d", "a.b.c.d.coder", "ws.coder.", "owner--ws--agent--more", "owner---ws", "ws name",
		"ws;rm", "$(ws)", "ws\n", "wörk", "_ws", "ws._a", "ws.a__b", strings.Repeat("w", 33), "ws." + strings.Repeat("a", 65),
		"../../users", "%2e%2e",
	} {
		if got, err := parseTarget(in); err == nil {
			t.Errorf("parseTarget(%q) = %+v, want an error", in, got)
		}
	}
}

func TestHostsOfSSH(t *testing.T) {
	for _, c := range []struct{ host, prefix, suffix, want string }{
		{"coder.ws", "coder.", "", "ws"},
		{"coder-vscode.h.example--owner--ws.agent", "coder-vscode.h.example--", "", "owner/ws.agent"},
		{"ws.coder", "", "coder", "ws"},
		{"ws.coder", "", ".coder", "ws"},
		{"agent.ws.owner.coder", "", "coder", "owner/ws.agent"},
		{"coder.ws.agent", "coder.", "coder", "ws.agent"},
		{"ws", "coder.", "coder", "ws"}, // neither is there: taken as it is
	} {
		got, err := parseHost(c.host, c.prefix, c.suffix)
		if err != nil || got.String() != c.want {
			t.Errorf("parseHost(%q, %q, %q) = %v, %v, want %s", c.host, c.prefix, c.suffix, got, err, c.want)
		}
	}
}

func FuzzTargetsReadTheirOwnText(f *testing.F) {
	for _, seed := range []string{"ws", "o/ws.a", "o--ws--a", "a.ws.o.coder", "a--b.c--d", "me/x", "--.", "coder.coder.coder.coder"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		first, err := parseTarget(text)
		if err != nil {
			return
		}
		again, err := parseTarget(first.String())
		if err != nil || again != first {
			t.Errorf("parseTarget(%q) = %+v, but its text %q reads as %+v, %v", text, first, first, again, err)
		}
	})
}

func TestPickNamesWhatThereIs(t *testing.T) {
	child := uuid.New()
	with := func(names ...string) api.Workspace {
		ws := api.Workspace{Name: "ws"}
		for _, n := range names {
			ws.LatestBuild.Resources = append(ws.LatestBuild.Resources, api.Resource{Agents: []api.Agent{
				{Name: n}, {Name: "child-of-" + n, ParentID: &child},
			}})
		}
		return ws
	}
	for _, c := range []struct {
		ws          api.Workspace
		agent, want string
	}{
		{with("main"), "", "main"},
		{with("main"), "main", "main"},
		{with("a", "b"), "b", "b"},
		{with("a", "B"), "b", "B"},
		{with(), "", `workspace "ws" has no agent`},
		{with("a", "b"), "", `workspace "ws" has several agents: a, b`},
		{with("a"), "x", `workspace "ws" has no agent "x"`},
	} {
		a, err := target{agent: c.agent}.pick(c.ws)
		got := a.Name
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("pick(%q) = %q, want %q", c.agent, got, c.want)
		}
	}
}
