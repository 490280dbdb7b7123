package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

// pathAgent is the agent of the path, if the caller may do this to its
// workspace. Agents of builds that a newer one has superseded can be read.
func (s *Server) pathAgent(r *http.Request, do auth.Action) (store.AgentDetail, error) {
	id, err := pathID(r, "agent")
	if err != nil {
		return store.AgentDetail{}, err
	}
	d, err := s.store.AgentByID(r.Context(), id)
	if err != nil {
		return store.AgentDetail{}, err
	}
	if err := require(callerOf(r), do, auth.Workspace(d.Workspace.OwnerID)); err != nil {
		return d, err
	}
	if !d.Workspace.DeletedAt.IsZero() {
		return d, notFound()
	}
	return d, nil
}

func (s *Server) getAgent(w http.ResponseWriter, r *http.Request) error {
	d, err := s.pathAgent(r, auth.Read)
	if err != nil {
		return err
	}
	return ok(w, s.agentJSON(d.Agent))
}

// getAgentConnection says how to reach an agent.
func (s *Server) getAgentConnection(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.pathAgent(r, auth.Read); err != nil {
		return err
	}
	return s.getConnection(w, r)
}

// getConnection says how to reach agents in general.
func (s *Server) getConnection(w http.ResponseWriter, _ *http.Request) error {
	m, _ := s.maps.Watch()
	return ok(w, api.ConnectionInfo{
		DERPMap: m, DisableDirectConnections: s.cfg.BlockDirect, HostnameSuffix: hostnameSuffix,
	})
}

// getAgentLogs answers with what an agent logged as a list or, with follow, as
// a WebSocket with a list per message that lasts while the agent may act.
func (s *Server) getAgentLogs(w http.ResponseWriter, r *http.Request) error {
	d, err := s.pathAgent(r, auth.Read)
	if err != nil {
		return err
	}
	after, err := queryAfter(r)
	if err != nil {
		return err
	}
	if !r.URL.Query().Has("follow") {
		lines, err := s.agentLogLines(r.Context(), d.Agent.ID, after)
		if err != nil {
			return err
		}
		return ok(w, lines)
	}
	return s.serveSocket(w, r, func(ctx context.Context, out jsonSocket) error {
		return s.followAgentLogs(ctx, d, after, out)
	})
}

func (s *Server) followAgentLogs(ctx context.Context, d store.AgentDetail, after int64, out jsonSocket) error {
	changed, stop := s.events.watch(d.Agent.ID)
	defer stop()
	return follow(ctx, out, func() (<-chan struct{}, error) {
		now, err := s.store.AgentByID(ctx, d.Agent.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		lines, linesErr := s.agentLogLines(ctx, d.Agent.ID, after)
		if linesErr != nil {
			return nil, linesErr
		}
		if len(lines) > 0 {
			after = lines[len(lines)-1].ID
			if err := out.send(ctx, lines); err != nil {
				return nil, err
			}
		}
		if err != nil || !now.Live() {
			return nil, nil
		}
		return changed, nil
	})
}

// built tells everybody who is concerned that a workspace has a new build. What
// is kept in memory for agents goes with their workspace.
func (s *Server) built(ws store.Workspace, t store.Transition) {
	for _, r := range ws.LatestBuild.Resources {
		for _, a := range r.Agents {
			if t != store.TransitionStart {
				s.volatile.forget(a.ID)
			}
			s.events.changed(a.ID)
			s.metadata.changed(a.ID)
		}
	}
	s.builds.changed(ws.ID)
	s.rescheduled(ws.ID)
}
