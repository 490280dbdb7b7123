package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/coordinator"
	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

// coordinate serves the tailnet service to a client that wants to reach one
// agent. Without a version it is asked by clients that are too old.
func (s *Server) coordinate(w http.ResponseWriter, r *http.Request) error {
	now := s.builds.now()
	d, err := s.pathAgent(r, auth.SSH)
	if err != nil {
		return hidden(err)
	}
	if err := checkVersion(r, "1.0"); err != nil {
		return err
	}
	return s.tailnetSession(w, r, coordinator.Only(d.Agent.ID), func(ctx context.Context, serve *session) (unwatch func()) {
		serve.check = func() error { return s.checkReach(ctx, d) }
		return s.builds.watchSince(now, d.Workspace.ID, serve.changed)
	})
}

// checkReach ends the session of a client whose agent is no more.
func (s *Server) checkReach(ctx context.Context, d store.AgentDetail) error {
	now, err := s.store.AgentByID(ctx, d.Agent.ID)
	if errors.Is(err, store.ErrNotFound) || err == nil && !now.Workspace.DeletedAt.IsZero() {
		return errSuperseded
	}
	return err
}

// hidden makes a lack of permission look like a lack of the thing.
func hidden(err error) error {
	var p *problem
	if errors.As(err, &p) && p.status == http.StatusForbidden {
		return notFound()
	}
	return err
}

// tailnet serves the tailnet service to a client that wants to reach any of the
// agents that its user may.
func (s *Server) tailnet(w http.ResponseWriter, r *http.Request) error {
	if err := checkVersion(r, "2.0"); err != nil {
		return err
	}
	c := callerOf(r)
	allow := func(ctx context.Context, agent uuid.UUID) error { return s.mayReach(ctx, c, agent) }
	return s.tailnetSession(w, r, allow, func(context.Context, *session) (unwatch func()) { return func() {} })
}

// mayReach reports why a user may not open a tunnel to an agent, or nil.
func (s *Server) mayReach(ctx context.Context, c caller, agent uuid.UUID) error {
	d, err := s.store.AgentByID(ctx, agent)
	if err != nil {
		return err
	}
	return require(c, auth.SSH, auth.Workspace(d.Workspace.OwnerID))
}

// tailnetSession runs the session of a client's peer. watch may add what ends
// it.
func (s *Server) tailnetSession(w http.ResponseWriter, r *http.Request, allow func(context.Context, uuid.UUID) error, watch func(context.Context, *session) (unwatch func())) error {
	c := callerOf(r)
	peer, err := s.peerID(r, c)
	if err != nil {
		return err
	}
	return s.serveSession(w, r, c.UserID, func(ctx context.Context, serve *session) func() {
		serve.calls = &services{mux: s.muxes.client, tailnet: &coordinator.Service{
			Coordinator: s.coordinator, Maps: s.maps, Resume: s.resume, Owner: c.UserID,
			Peer: coordinator.Peer{ID: peer, Owner: c.UserID, Name: c.Username, Role: coordinator.Client, Allow: s.unlessBarred(c.UserID, allow)},
		}}
		unwatch := watch(ctx, serve)
		return func() {
			defer unwatch()
			err := serve.run(ctx, &s.pulse)
			s.log.Debug("client connection ended", "peer", peer, "user", c.Username, "err", err)
		}
	})
}

// unlessBarred refuses the tunnels of a user who was barred since the session
// began.
func (s *Server) unlessBarred(user uuid.UUID, allow func(context.Context, uuid.UUID) error) func(context.Context, uuid.UUID) error {
	return func(ctx context.Context, agent uuid.UUID) error {
		if s.streams.isBarred(user) {
			return errBarred
		}
		return allow(ctx, agent)
	}
}

// peerID is that of the resume token, or a new one.
func (s *Server) peerID(r *http.Request, c caller) (uuid.UUID, error) {
	token := r.URL.Query().Get("resume_token")
	if token == "" {
		return uuid.New(), nil
	}
	id, err := s.resume.Verify(token, c.UserID, time.Now())
	switch {
	case errors.Is(err, coordinator.ErrTokenKey):
		return uuid.New(), nil
	case err != nil:
		return uuid.Nil, &problem{status: http.StatusUnauthorized, body: api.Response{
			Message:     "The resume token is not valid.",
			Validations: []api.Validation{{Field: "resume_token", Detail: "Connect without it."}},
		}}
	}
	return id, nil
}
