package server

import (
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

// putTTL sets how long a workspace runs after its start.
func (s *Server) putTTL(w http.ResponseWriter, r *http.Request) error {
	ws, err := s.pathWorkspace(r, auth.Update)
	if err != nil {
		return err
	}
	var req api.UpdateTTLRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	d, err := ttl(req.TTLMillis)
	if err != nil {
		return err
	}
	if err := s.store.SetTTL(r.Context(), ws.ID, d); err != nil {
		return err
	}
	s.rescheduled(ws.ID)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// putExtend puts the deadline of a workspace off.
func (s *Server) putExtend(w http.ResponseWriter, r *http.Request) error {
	ws, err := s.pathWorkspace(r, auth.Update)
	if err != nil {
		return err
	}
	var req api.ExtendRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	now := time.Now()
	switch deadline := ws.LatestBuild.Deadline; {
	case deadline.IsZero():
		return refuse(http.StatusConflict, "The workspace does not stop by itself.", "")
	case req.Deadline.Before(now.Add(minExtend)) || req.Deadline.After(now.Add(maxTTL)):
		return invalid("deadline", "Must be from 1 minute to 30 days ahead.")
	case !req.Deadline.After(deadline):
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if err := s.extend(r.Context(), ws.ID, req.Deadline, callerOf(r).Username); err != nil {
		return err
	}
	return ok(w, api.Response{Message: "The deadline is put off."})
}

// getActivity says what keeps a workspace up.
func (s *Server) getActivity(w http.ResponseWriter, r *http.Request) error {
	ws, err := s.pathWorkspace(r, auth.Read)
	if err != nil {
		return err
	}
	leases, err := s.store.Leases(r.Context(), ws.ID)
	if err != nil {
		return err
	}
	extensions, err := s.store.Extensions(r.Context(), ws.ID)
	if err != nil {
		return err
	}
	out := api.Activity{Leases: []api.Lease{}, Extensions: []api.Extension{}}
	for _, l := range leases {
		out.Leases = append(out.Leases, leaseJSON(l))
	}
	for _, e := range extensions {
		out.Extensions = append(out.Extensions, api.Extension{CreatedAt: e.CreatedAt, Cause: e.Cause, Deadline: e.Deadline})
	}
	return ok(w, out)
}

// holder is a workspace and who wants it to go on.
type holder struct {
	workspace uuid.UUID
	name      string
}

// userHolder is the caller, for the workspace of the path.
func (s *Server) userHolder(r *http.Request) (holder, error) {
	ws, err := s.pathWorkspace(r, auth.SSH)
	return holder{ws.ID, callerOf(r).Username}, err
}

// agentHolder is the agent whose token the request has, for its own workspace.
func (s *Server) agentHolder(r *http.Request) (holder, error) {
	d, err := s.auth.AuthenticateAgent(r.Context(), tokenOf(r))
	if err != nil {
		return holder{}, s.strange(r, err)
	}
	return holder{d.Workspace.ID, "agent " + d.Agent.Name}, nil
}

// leaseRoutes serves leases for one kind of holder below a path.
func (s *Server) leaseRoutes(r chi.Router, path string, who func(*http.Request) (holder, error)) {
	for _, route := range []struct {
		method, path string
		serve        func(w http.ResponseWriter, r *http.Request, h holder) error
	}{
		{http.MethodPost, path, s.createLease},
		{http.MethodPut, path + "/{lease}", s.renewLease},
		{http.MethodDelete, path + "/{lease}", s.endLease},
	} {
		r.Method(route.method, route.path, s.h(func(w http.ResponseWriter, r *http.Request) error {
			h, err := who(r)
			if err != nil {
				return err
			}
			return route.serve(w, r, h)
		}))
	}
}

func (s *Server) createLease(w http.ResponseWriter, r *http.Request, h holder) error {
	req, err := leaseRequest(r)
	if err != nil {
		return err
	}
	limits, err := s.store.LimitsOf(r.Context(), h.workspace)
	if err != nil {
		return err
	}
	now := time.Now()
	until, _ := leaseEnd(now, now, time.Duration(req.Seconds)*time.Second, limits.MaxLease)
	l, err := s.store.CreateLease(r.Context(), store.Lease{WorkspaceID: h.workspace, Holder: h.name, Reason: req.Reason, ExpiresAt: until})
	if err != nil {
		return err
	}
	s.log.Info("lease taken", "workspace", h.workspace, "holder", h.name, "until", l.ExpiresAt, "reason", l.Reason)
	s.rescheduled(h.workspace)
	reply(w, http.StatusCreated, leaseJSON(l))
	return nil
}

// leaseRequest reads how long a lease is to last from now on.
func leaseRequest(r *http.Request) (req api.LeaseRequest, err error) {
	if err := decode(r, &req); err != nil {
		return req, err
	}
	if req.Seconds < 1 || req.Seconds > int64(maxTTL/time.Second) {
		return req, invalid("seconds", "Must be from 1 second to 30 days.")
	}
	req.Reason = printable(req.Reason, maxLeaseReason)
	return req, nil
}

// maxLeaseReason is where a reason is cut, in bytes.
const maxLeaseReason = 200

func (s *Server) renewLease(w http.ResponseWriter, r *http.Request, h holder) error {
	id, err := pathID(r, "lease")
	if err != nil {
		return err
	}
	req, err := leaseRequest(r)
	if err != nil {
		return err
	}
	l, err := s.store.LeaseByID(r.Context(), h.workspace, id)
	if err != nil {
		return err
	}
	limits, err := s.store.LimitsOf(r.Context(), h.workspace)
	if err != nil {
		return err
	}
	until, left := leaseEnd(l.CreatedAt, time.Now(), time.Duration(req.Seconds)*time.Second, limits.MaxLease)
	if !left {
		return refuse(http.StatusConflict, "The lease has lasted as long as one may.", "The template says "+limits.MaxLease.String()+". Take another one.")
	}
	if l, err = s.store.RenewLease(r.Context(), h.workspace, id, until); err != nil {
		return err
	}
	s.rescheduled(h.workspace)
	return ok(w, leaseJSON(l))
}

func (s *Server) endLease(w http.ResponseWriter, r *http.Request, h holder) error {
	id, err := pathID(r, "lease")
	if err != nil {
		return err
	}
	if err := s.store.EndLease(r.Context(), h.workspace, id); err != nil {
		return err
	}
	s.events.changed(h.workspace)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
