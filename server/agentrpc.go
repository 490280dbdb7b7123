package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"storj.io/drpc/drpcmux"

	agentproto "github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/coordinator"
	"github.com/berthdev/berth/server/store"
	tailnetproto "github.com/berthdev/berth/tailnet/proto"
)

// finalWrite bounds writing down the end of a session.
const finalWrite = 30 * time.Second

// agentRPC serves the agent and tailnet services to an agent. A token with
// another role than the agent's (a collector of logs) gets the agent service
// only, and is no session of the agent.
func (s *Server) agentRPC(w http.ResponseWriter, r *http.Request) error {
	d, err := s.auth.AuthenticateAgent(r.Context(), tokenOf(r))
	if err != nil {
		return s.strange(r, err)
	}
	if err := checkVersion(r, "2.0"); err != nil {
		return err
	}
	role := r.URL.Query().Get("role")
	ctx, done, err := s.streams.begin(r.Context())
	if err != nil {
		return err
	}
	defer done()
	ws, err := s.accept(w, r)
	if err != nil {
		return err
	}
	changed, stop := s.events.watch(d.Workspace.ID)
	defer stop()
	serve := session{
		ws: ws, changed: changed, calls: s.agentCalls(d, role),
		check: func(ctx context.Context) error { return s.checkAgent(ctx, d) },
	}
	if !isAgent(role) {
		err = serve.run(ctx)
	} else {
		err = s.agentSession(ctx, d, apiVersion(r), serve)
	}
	s.log.Debug("agent connection ended", "agent", d.Agent.ID, "workspace", d.Workspace.Name, "role", role, "err", err)
	return nil
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
func (s *Server) agentCalls(d store.AgentDetail, role string) *drpcmux.Mux {
	mux := drpcmux.New()
	must(agentproto.DRPCRegisterAgent(mux, &agentService{s: s, agent: d}))
	if isAgent(role) {
		must(tailnetproto.DRPCRegisterTailnet(mux, &coordinator.Service{
			Coordinator: s.coordinator, Maps: s.maps,
			Peer: coordinator.Peer{ID: d.Agent.ID, Name: d.Workspace.Name + "." + d.Agent.Name, Role: coordinator.Agent},
		}))
	}
	return mux
}

// must is for registrations, which fail for a service that is not one.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// agentSession runs the session of an agent. Its begin and end are written
// down, nothing in between.
func (s *Server) agentSession(ctx context.Context, d store.AgentDetail, version string, serve session) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	began := time.Now()
	own := s.sessions.join(d.Agent.ID, end)
	if err := s.store.AgentConnected(ctx, d.Agent.ID, began, version); err != nil {
		s.sessions.leave(own)
		if errors.Is(err, store.ErrNotFound) {
			err = errSuperseded // deleted this moment
		}
		serve.close(err)
		return err
	}
	s.log.Info("agent connected", "agent", d.Agent.ID, "workspace", d.Workspace.Name, "owner", d.Owner.Username)
	s.events.changed(d.Workspace.ID)

	err := serve.run(ctx)

	s.sessions.leave(own)
	s.log.Info("agent disconnected", "agent", d.Agent.ID, "workspace", d.Workspace.Name, "owner", d.Owner.Username, "cause", err)
	s.agentLeft(ctx, d, began, err)
	return err
}

// agentLeft writes down the end of a session. A server that stops and is alone
// with its database does so for all agents at once.
func (s *Server) agentLeft(ctx context.Context, d store.AgentDetail, began time.Time, cause error) {
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
func (s *Server) checkAgent(ctx context.Context, d store.AgentDetail) error {
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
