package server

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

// reasons are what a caller may give as the reason of a build.
var reasons = []string{
	"", "dashboard", "cli", "ssh_connection", "vscode_connection", "jetbrains_connection",
	"task_manual_pause", "task_resume",
}

// actions are what the caller must be allowed to for a transition.
var actions = map[api.Transition]auth.Action{
	api.TransitionStart: auth.Start, api.TransitionStop: auth.Stop, api.TransitionDelete: auth.Delete,
}

// createBuild starts, stops or deletes a workspace.
func (s *Server) createBuild(w http.ResponseWriter, r *http.Request) error {
	ws, err := s.pathWorkspace(r, auth.Read)
	if err != nil {
		return err
	}
	var req api.CreateBuildRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	if err := checkBuild(req, ws); err != nil {
		return err
	}
	if err := require(callerOf(r), actions[req.Transition], auth.Workspace(ws.OwnerID)); err != nil {
		return err
	}
	if len(req.State) > 0 {
		if err := require(callerOf(r), auth.State, auth.Workspace(ws.OwnerID)); err != nil {
			return err
		}
	}
	b, err := s.build(r.Context(), ws, callerOf(r), req)
	if err != nil {
		return err
	}
	reply(w, http.StatusCreated, s.buildJSON(b, ws, *ws.Owner))
	return nil
}

// checkBuild refuses what cannot be built.
func checkBuild(req api.CreateBuildRequest, ws store.Workspace) error {
	switch {
	case actions[req.Transition] == "":
		return invalid("transition", "Must be start, stop or delete.")
	case !slices.Contains(reasons, req.Reason):
		return invalid("reason", "Unknown reason.")
	case req.DryRun:
		return invalid("dry_run", "The template has nothing to try.")
	}
	running := ws.LatestBuild.Status() == store.StatusRunning
	if req.Transition == api.TransitionStart && req.Reason == "ssh_connection" && running {
		return refuse(http.StatusConflict, "The workspace is started already.", "")
	}
	return nil
}

// build does a build.
func (s *Server) build(ctx context.Context, ws store.Workspace, by caller, req api.CreateBuildRequest) (store.Build, error) {
	transition := store.Transition(req.Transition)
	parameters, err := withParameters(ws.LatestBuild, req.RichParameterValues)
	if err != nil {
		return store.Build{}, err
	}
	done, err := byoResult(transition, parameters)
	if err != nil {
		return store.Build{}, err
	}
	n := store.NewBuild{Transition: transition, Reason: req.Reason, InitiatorID: by.UserID, Parameters: parameters, State: req.State, Done: done}
	switch {
	case req.TemplateVersionID != nil:
		n.TemplateVersionID = *req.TemplateVersionID
	case transition == store.TransitionStart && ws.AutomaticUpdates == store.UpdateAlways:
		n.TemplateVersionID = ws.Template.ActiveVersionID
	}
	b, err := s.store.CreateBuild(ctx, ws.ID, n)
	if err != nil {
		return b, orInvalidVersion(err, req)
	}
	s.log.Info("workspace built", "workspace", ws.Name, "owner", ws.Owner.Username, "transition", b.Transition,
		"build", b.Number, "by", by.Username)
	s.built(ws, transition)
	return b, nil
}

// orInvalidVersion blames the version when the request named one: the
// workspace was there a moment ago.
func orInvalidVersion(err error, req api.CreateBuildRequest) error {
	if req.TemplateVersionID == nil {
		return err
	}
	return orInvalid(err, "template_version_id")
}

func (s *Server) listBuilds(w http.ResponseWriter, r *http.Request) error {
	ws, err := s.pathWorkspace(r, auth.Read)
	if err != nil {
		return err
	}
	p, err := pageOf(r)
	if err != nil {
		return err
	}
	f := store.BuildFilter{Limit: p.limit, Offset: p.offset, After: p.after}
	if text := r.URL.Query().Get("since"); text != "" {
		if f.Since, err = time.Parse(time.RFC3339, text); err != nil {
			return invalid("since", "Must be a time like 2006-01-02T15:04:05Z.")
		}
	}
	list, err := s.store.Builds(r.Context(), ws.ID, f)
	if err != nil {
		return err
	}
	out := make([]api.Build, 0, len(list))
	for _, b := range list {
		out = append(out, s.buildJSON(b, ws, *ws.Owner))
	}
	return ok(w, out)
}

func (s *Server) getBuildByNumber(w http.ResponseWriter, r *http.Request) error {
	ws, err := s.pathWorkspaceByName(r)
	if err != nil {
		return err
	}
	number, err := strconv.ParseInt(chi.URLParam(r, "number"), 10, 32)
	if err != nil {
		return invalid("buildnumber", "Must be a number.")
	}
	b, err := s.store.BuildByNumber(r.Context(), ws.ID, number)
	if err != nil {
		return err
	}
	return ok(w, s.buildJSON(b, ws, *ws.Owner))
}

// pathBuild is the build of the path, with its workspace.
func (s *Server) pathBuild(r *http.Request) (store.Build, store.Workspace, error) {
	id, err := pathID(r, "build")
	if err != nil {
		return store.Build{}, store.Workspace{}, err
	}
	b, err := s.store.BuildByID(r.Context(), id)
	if err != nil {
		return store.Build{}, store.Workspace{}, err
	}
	ws := *b.Workspace
	return b, ws, require(callerOf(r), auth.Read, auth.Workspace(ws.OwnerID))
}

func (s *Server) getBuild(w http.ResponseWriter, r *http.Request) error {
	b, ws, err := s.pathBuild(r)
	if err != nil {
		return err
	}
	return ok(w, s.buildJSON(b, ws, *ws.Owner))
}

// listBuildParameters lists the values that a build was made with.
func (s *Server) listBuildParameters(w http.ResponseWriter, r *http.Request) error {
	b, _, err := s.pathBuild(r)
	if err != nil {
		return err
	}
	out := []api.BuildParameter{}
	for _, name := range slices.Sorted(maps.Keys(b.Parameters)) {
		out = append(out, api.BuildParameter{Name: name, Value: b.Parameters[name]})
	}
	return ok(w, out)
}

func (s *Server) listBuildResources(w http.ResponseWriter, r *http.Request) error {
	b, _, err := s.pathBuild(r)
	if err != nil {
		return err
	}
	return ok(w, s.resourcesJSON(b))
}
