package server

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/store"
)

// workspaceSearch is what the store can find workspaces by, and what only this
// server knows of them.
type workspaceSearch struct {
	store.WorkspaceFilter

	agent      api.AgentStatus // of one of the agents; empty for any
	healthy    *bool
	parameters map[string]string // value by name, both lower-case: "=value", or "" for any
}

// read takes the terms that filterOf leaves.
func (q *workspaceSearch) read(terms map[string]string) error {
	var err error
	for key, to := range map[string]**bool{
		"outdated": &q.Outdated, "has_external_agent": &q.ExternalAgent, "healthy": &q.healthy,
	} {
		if *to, err = boolTerm(terms, key); err != nil {
			return err
		}
	}
	if q.UsedAfter, err = timeTerm(terms, "last_used_after"); err != nil {
		return err
	}
	if q.UsedBefore, err = timeTerm(terms, "last_used_before"); err != nil {
		return err
	}
	for _, key := range []string{"dormant", "shared", "has-ai-task"} { // no workspace is or has
		if wanted, err := boolTerm(terms, key); err != nil {
			return err
		} else if wanted != nil && *wanted {
			q.IDs = []uuid.UUID{}
		}
	}
	return q.readLive(terms)
}

func (q *workspaceSearch) readLive(terms map[string]string) error {
	q.agent = api.AgentStatus(terms["has-agent"])
	statuses := []api.AgentStatus{"", api.AgentConnecting, api.AgentConnected, api.AgentDisconnected, api.AgentTimeout}
	if !slices.Contains(statuses, q.agent) {
		return badQuery("has no status of an agent %q", q.agent)
	}
	for key, value := range terms {
		if name, is := strings.CutPrefix(key, "param:"); is {
			if q.parameters == nil {
				q.parameters = map[string]string{}
			}
			q.parameters[name] = value
		}
	}
	return nil
}

// live reports whether the store alone cannot answer.
func (q *workspaceSearch) live() bool {
	return q.agent != "" || q.healthy != nil || q.parameters != nil
}

// selects reports whether a workspace that the store found is meant; shown is
// what clients see of it.
func (q *workspaceSearch) selects(ws store.Workspace, shown api.Workspace) bool {
	if q.healthy != nil && *q.healthy != shown.Health.Healthy {
		return false
	}
	for name, value := range q.parameters {
		if !hasParameter(ws.LatestBuild.Parameters, name, value) {
			return false
		}
	}
	return q.agent == "" || slices.ContainsFunc(shown.LatestBuild.Resources, func(r api.Resource) bool {
		return slices.ContainsFunc(r.Agents, func(a api.Agent) bool { return a.Status == q.agent })
	})
}

func hasParameter(all map[string]string, name, value string) bool {
	for n, v := range all {
		if strings.EqualFold(n, name) && (value == "" || strings.EqualFold("="+v, value)) {
			return true
		}
	}
	return false
}

// findWorkspaces searches. What the store cannot answer costs a look at all that
// it finds.
func (s *Server) findWorkspaces(ctx context.Context, q workspaceSearch, me uuid.UUID) (out api.WorkspacesResponse, err error) {
	var list []store.Workspace
	out.Workspaces = []api.Workspace{}
	if !q.live() {
		list, out.Count, err = s.store.Workspaces(ctx, q.WorkspaceFilter)
		for _, ws := range list {
			out.Workspaces = append(out.Workspaces, s.workspaceJSON(ws, me))
		}
		return out, err
	}
	all, limit, skip := q.WorkspaceFilter, q.Limit, q.Offset
	if limit <= 0 || limit > store.MaxPage {
		limit = store.MaxPage
	}
	for all.Limit, all.Offset = store.MaxPage, 0; ; all.Offset += store.MaxPage {
		if list, _, err = s.store.Workspaces(ctx, all); err != nil {
			return out, err
		}
		for _, ws := range list {
			shown := s.workspaceJSON(ws, me)
			if !q.selects(ws, shown) {
				continue
			}
			if out.Count++; out.Count > skip && len(out.Workspaces) < limit {
				out.Workspaces = append(out.Workspaces, shown)
			}
		}
		if len(list) < store.MaxPage {
			return out, nil
		}
	}
}
