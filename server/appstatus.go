package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/store"
)

const (
	// maxStatusMessage is where the message of a status ends, in bytes (reference:
	// agent §7).
	maxStatusMessage = 160
	// taskLease is how long the lease of a task that works lasts without word from
	// its agent, and taskRenewal how much of it is left when it is renewed.
	taskLease, taskRenewal = 5 * time.Minute, 3 * time.Minute
)

// working is the state of a task that wants its workspace to go on.
const working = "working"

// statuses are the states that a task can report.
var statuses = []string{working, "idle", "complete", "failure"}

// UpdateAppStatus takes what a task says of itself.
func (a *agentService) UpdateAppStatus(ctx context.Context, req *proto.UpdateAppStatusRequest) (*proto.UpdateAppStatusResponse, error) {
	state, known := proto.UpdateAppStatusRequest_AppStatusState_name[int32(req.GetState())]
	if !known {
		return nil, fmt.Errorf("unknown state %d", req.GetState())
	}
	err := a.s.setStatus(ctx, a.agent, req.GetSlug(), api.AppStatus{State: strings.ToLower(state), Message: req.GetMessage(), URI: req.GetUri()})
	if p := (*problem)(nil); errors.As(err, &p) {
		return nil, errors.New(p.detail())
	}
	if err != nil {
		return nil, a.trouble("write the state of a task", err)
	}
	return &proto.UpdateAppStatusResponse{}, nil
}

// patchAppStatus is UpdateAppStatus by HTTP, with the agent's token.
func (s *Server) patchAppStatus(w http.ResponseWriter, r *http.Request) error {
	d, err := s.auth.AuthenticateAgent(r.Context(), tokenOf(r))
	if err != nil {
		return s.strange(r, err)
	}
	var req api.PatchAppStatusRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	if err := s.setStatus(r.Context(), &d, req.AppSlug, api.AppStatus{State: req.State, Message: req.Message, URI: req.URI}); err != nil {
		return err
	}
	return ok(w, api.Response{Message: "The status is taken."})
}

// setStatus takes the status of an app of the agent, and holds a lease while it
// is that the app works.
func (s *Server) setStatus(ctx context.Context, d *store.AgentDetail, slug string, status api.AppStatus) error {
	i := slices.IndexFunc(d.Agent.Config.Apps, func(app store.AgentApp) bool { return app.Slug == slug })
	switch {
	case i < 0:
		return invalid("app_slug", "The workspace has no such app.")
	case !slices.Contains(statuses, status.State):
		return invalid("state", "Must be working, idle, complete or failure.")
	case len(status.Message) > maxStatusMessage:
		return invalid("message", fmt.Sprintf("Must be %d bytes at most.", maxStatusMessage))
	}
	if u, err := url.Parse(status.URI); err != nil || u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "file" {
		return invalid("uri", "Must be an http, https or file URL.")
	}
	app := d.Agent.Config.Apps[i]
	status.ID, status.CreatedAt, status.Message = uuid.New(), time.Now().UTC(), printable(status.Message, maxStatusMessage)
	status.WorkspaceID, status.AgentID, status.AppID = d.Workspace.ID, d.Agent.ID, app.ID
	s.volatile.setStatus(d.Agent.ID, app.Slug, status)
	defer s.events.changed(d.Workspace.ID)
	if status.State == working {
		return s.holdTask(ctx, d.Workspace.ID, app.Slug, status.Message)
	}
	return s.releaseTask(ctx, d.Workspace.ID, app.Slug)
}

func taskHolder(slug string) string { return "task " + slug }

// holdTasks renews the leases of the tasks of an agent that work. One that has
// said nothing for as long as a lease may last is held no more.
func (s *Server) holdTasks(ctx context.Context, d *store.AgentDetail) error {
	limits, err := s.store.LimitsOf(ctx, d.Workspace.ID)
	if err != nil {
		return err
	}
	for slug, status := range s.volatile.statuses(d.Agent.ID) {
		if status.State == working && time.Since(status.CreatedAt) < limits.MaxLease {
			if err := s.holdTask(ctx, d.Workspace.ID, slug, status.Message); err != nil {
				return err
			}
		}
	}
	return nil
}

// holdTask takes or renews the lease of a task.
func (s *Server) holdTask(ctx context.Context, workspace uuid.UUID, slug, message string) error {
	now := time.Now()
	l, err := s.taskLease(ctx, workspace, slug)
	if err != nil {
		return err
	}
	limits, err := s.store.LimitsOf(ctx, workspace)
	if err != nil {
		return err
	}
	began := l.CreatedAt
	if l.ID == uuid.Nil {
		began = now
	}
	switch until, left := leaseEnd(began, now, taskLease, limits.MaxLease); {
	case l.ID == uuid.Nil:
		_, err = s.store.CreateLease(ctx, store.Lease{WorkspaceID: workspace, Holder: taskHolder(slug), Reason: message, ExpiresAt: until})
	case !left || time.Until(l.ExpiresAt) > taskRenewal:
		return nil
	default:
		_, err = s.store.RenewLease(ctx, workspace, l.ID, until)
	}
	s.rescheduled(workspace)
	return err
}

// releaseTask ends the lease of a task, if it has one.
func (s *Server) releaseTask(ctx context.Context, workspace uuid.UUID, slug string) error {
	l, err := s.taskLease(ctx, workspace, slug)
	if err != nil || l.ID == uuid.Nil {
		return err
	}
	err = s.store.EndLease(ctx, workspace, l.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// taskLease is that of a task; the zero value when it has none.
func (s *Server) taskLease(ctx context.Context, workspace uuid.UUID, slug string) (store.Lease, error) {
	list, err := s.store.Leases(ctx, workspace)
	if err != nil {
		return store.Lease{}, err
	}
	if i := slices.IndexFunc(list, func(l store.Lease) bool { return l.Holder == taskHolder(slug) }); i >= 0 {
		return list[i], nil
	}
	return store.Lease{}, nil
}
