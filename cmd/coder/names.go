package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/berthdev/berth/server/api"
)

// target names a workspace, and one of its agents if agent is not empty.
type target struct {
	owner, workspace, agent string
}

func (t target) String() string {
	s := t.workspace
	if t.owner != api.Me {
		s = t.owner + "/" + s
	}
	if t.agent != "" {
		s += "." + t.agent
	}
	return s
}

var (
	validName  = regexp.MustCompile(`^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$`)
	validAgent = regexp.MustCompile(`^[A-Za-z0-9]+([-_][A-Za-z0-9]+)*$`)
)

// The longest names that a server gives.
const (
	maxName  = 32
	maxAgent = 64
)

// parseTarget reads the forms in which people, ssh and editors name an agent:
//
//	ws              ws.agent            own workspace
//	owner/ws        owner/ws.agent      owner/ws--agent
//	owner--ws       owner--ws.agent     owner--ws--agent
//	agent.ws.owner  agent.ws.owner.coder
//
// The name is taken as a word of a shell or an SSH configuration, so that
// nothing but letters, digits and single hyphens gets through.
func parseTarget(text string) (target, error) {
	t, ok := split(text)
	if !ok || !t.valid() {
		return target{}, withHint(fmt.Errorf("%.100q is not the name of a workspace", text),
			"names are like blue-fox, blue-fox.agent or owner/blue-fox.agent")
	}
	return t, nil
}

func split(text string) (target, bool) {
	if owner, rest, ok := strings.Cut(text, "/"); ok {
		t, ok := splitAgent(rest)
		t.owner = owner
		return t, ok
	}
	if owner, rest, ok := strings.Cut(text, "--"); ok {
		t, ok := splitAgent(rest)
		t.owner = owner
		return t, ok
	}
	parts := strings.Split(text, ".")
	if len(parts) == 4 && parts[3] == "coder" {
		parts = parts[:3]
	}
	if len(parts) == 3 {
		return target{owner: parts[2], workspace: parts[1], agent: parts[0]}, parts[0] != ""
	}
	t, ok := splitAgent(text)
	t.owner = api.Me
	return t, ok
}

// splitAgent reads ws, ws.agent and ws--agent.
func splitAgent(text string) (target, bool) {
	ws, agent, ok := strings.Cut(text, ".")
	if !ok {
		ws, agent, ok = strings.Cut(text, "--")
	}
	return target{workspace: ws, agent: agent}, !ok || agent != ""
}

func (t target) valid() bool {
	return len(t.owner) <= maxName && validName.MatchString(t.owner) &&
		len(t.workspace) <= maxName && validName.MatchString(t.workspace) &&
		(t.agent == "" || len(t.agent) <= maxAgent && validAgent.MatchString(t.agent))
}

// parseHost is parseTarget for what ssh calls a host: it cuts the prefix of the
// Host pattern that led here, and the suffix with its dot.
func parseHost(host, prefix, suffix string) (target, error) {
	host = strings.TrimPrefix(host, prefix)
	if suffix != "" {
		host = strings.TrimSuffix(host, "."+strings.TrimPrefix(suffix, "."))
	}
	return parseTarget(host)
}

// workspace asks for the workspace that name means.
func workspace(ctx context.Context, c *api.Client, name string) (api.Workspace, error) {
	t, err := parseTarget(name)
	if err != nil {
		return api.Workspace{}, err
	}
	if t.agent != "" {
		return api.Workspace{}, fmt.Errorf("%q names an agent, want only a workspace", name)
	}
	return t.find(ctx, c)
}

// find asks for the workspace of a target.
func (t target) find(ctx context.Context, c *api.Client) (api.Workspace, error) {
	ws, err := c.WorkspaceByName(ctx, t.owner, t.workspace)
	if api.StatusCode(err) == http.StatusNotFound {
		return ws, t.notFound()
	}
	return ws, err
}

func (t target) notFound() error {
	t.agent = ""
	return withHint(fmt.Errorf("workspace %q not found", t), "coder list")
}

// pick returns the agent that a target means.
func (t target) pick(ws api.Workspace) (api.Agent, error) {
	agents := agentsOf(ws)
	if t.agent == "" && len(agents) == 1 {
		return agents[0], nil
	}
	var names []string
	for _, a := range agents {
		if strings.EqualFold(a.Name, t.agent) { // ssh makes hosts lower case
			return a, nil
		}
		names = append(names, a.Name)
	}
	switch {
	case len(agents) == 0 && ws.LatestBuild.Status == api.BuildStopped:
		return api.Agent{}, withHint(fmt.Errorf("workspace %q is stopped", ws.Name), "coder start "+t.workspaceName())
	case len(agents) == 0:
		return api.Agent{}, fmt.Errorf("workspace %q has no agent", ws.Name)
	case t.agent == "":
		return api.Agent{}, withHint(fmt.Errorf("workspace %q has several agents: %s", ws.Name, strings.Join(names, ", ")),
			fmt.Sprintf("name one, like %s.%s", ws.Name, names[0]))
	}
	return api.Agent{}, withHint(fmt.Errorf("workspace %q has no agent %q", ws.Name, t.agent),
		"its agents: "+strings.Join(names, ", "))
}

// agentsOf returns the agents of a workspace, without those that an agent
// started itself.
func agentsOf(ws api.Workspace) []api.Agent {
	var all []api.Agent
	for _, r := range ws.LatestBuild.Resources {
		for _, a := range r.Agents {
			if a.ParentID == nil {
				all = append(all, a)
			}
		}
	}
	return all
}

// newName reads the name for a new workspace: name or owner/name.
func newName(text string) (target, error) {
	t, err := parseTarget(text)
	if err == nil && t.agent != "" {
		err = errors.New("the name of a workspace has no dot and no double hyphen in it")
	}
	return t, err
}
