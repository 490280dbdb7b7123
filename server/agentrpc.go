package server

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/berthdev/berth/coordinator"
	"github.com/berthdev/berth/server/store"
)

// finalWrite bounds writing down the end of a session.
const finalWrite = 30 * time.Second

// agentRPC serves the agent and tailnet services to an agent. A token with
// another role than the agent's (a collector of logs) gets the agent service
// only, and is no session of the agent.
func (s *Server) agentRPC(w http.ResponseWriter, r *http.Request) error {
	now := s.builds.now()
	d, err := s.auth.AuthenticateAgent(r.Context(), tokenOf(r))
	if err != nil {
		return s.strange(r, err)
	}
	if err := checkVersion(r, "2.0"); err != nil {
		return err
	}
	role, version := r.URL.Query().Get("role"), apiVersion(r)
	return s.serveSession(w, r, d.Agent.ID, func(ctx context.Context, serve *session) func() {
		serve.calls = s.agentCalls(&d, role)
		serve.check = func() error { return s.checkAgent(ctx, &d) }
		unwatch := s.builds.watchSince(now, d.Workspace.ID, serve.changed)
		run := func() { _ = serve.run(ctx, &s.pulse) } // why it ended is for the other end
		if isAgent(role) {
			run = s.agentSession(ctx, &d, version, serve)
		}
		return func() {
			defer unwatch()
			run()
		}
	})
}

// isAgent reports whether a connection of that role is the agent itself.
func isAgent(role string) bool { return role == "" || role == "agent" }

func apiVersion(r *http.Request) string {
	if v := r.URL.Query().Get("version"); v != "" {
		return v
	}
	return "2.0"
}

// agentCalls are the services that an agent may call.
func (s *Server) agentCalls(d *store.AgentDetail, role string) *services {
	calls := &services{mux: s.muxes.collector, agent: &agentService{s: s, agent: d}}
	if isAgent(role) {
		calls.mux = s.muxes.agent
		calls.tailnet = &coordinator.Service{
			Coordinator: s.coordinator, Maps: s.maps,
			Peer: coordinator.Peer{ID: d.Agent.ID, Name: d.Workspace.Name + "." + d.Agent.Name, Role: coordinator.Agent},
		}
	}
	return calls
}

// agentSession begins the session of an agent and returns what runs it. Its
// begin and end are written down, nothing in between.
func (s *Server) agentSession(ctx context.Context, d *store.AgentDetail, version string, serve *session) (run func()) {
	began := time.Now()
	own := s.sessions.join(d.Agent.ID, serve.end)
	log := func() *slog.Logger {
		return s.log.With("agent", d.Agent.ID, "workspace", d.Workspace.Name, "owner", d.Owner.Username)
	}
	if err := s.store.AgentConnected(ctx, d.Agent.ID, began, version); err != nil {
		return func() {
			s.sessions.leave(own)
			log().Warn("agent not connected", "err", err)
			serve.close(cmp.Or(context.Cause(ctx), err))
			serve.finish()
		}
	}
	log().Info("agent connected")
	s.events.changed(d.Workspace.ID)
	return func() {
		err := serve.run(ctx, &s.pulse)
		s.sessions.leave(own)
		log().Info("agent disconnected", "cause", cmp.Or(err, errLeft))
		s.agentLeft(ctx, d, began, err)
	}
}

// errLeft is the cause of an end that nobody minds.
var errLeft = errors.New("the agent left")

// agentLeft writes down the end of a session. A server that stops and is alone
// with its database does so for all agents at once.
func (s *Server) agentLeft(ctx context.Context, d *store.AgentDetail, began time.Time, cause error) {
	if errors.Is(cause, errStopping) && s.alone() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finalWrite)
	defer cancel()
	if _, err := s.store.AgentDisconnected(ctx, d.Agent.ID, began, time.Now()); err != nil {
		s.log.Error("end of agent session not written", "agent", d.Agent.ID, "err", err)
	}
	s.events.changed(d.Workspace.ID)
}

// checkAgent reports errSuperseded when an agent may no longer act for the
// build that it connected to.
func (s *Server) checkAgent(ctx context.Context, d *store.AgentDetail) error {
	now, err := s.store.AgentByID(ctx, d.Agent.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return errSuperseded
	case err != nil:
		return err
	case !now.Live() || now.Build.ID != d.Build.ID:
		return errSuperseded
	}
	return nil
}
