package server

import (
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

// createWorkspace makes a workspace of the user of the path, and starts it.
func (s *Server) createWorkspace(w http.ResponseWriter, r *http.Request) error {
	owner, err := s.pathUser(r)
	if err != nil {
		return err
	}
	if err := require(callerOf(r), auth.Create, auth.Workspace(owner.ID)); err != nil {
		return forbidden("Your role does not allow you to make workspaces for this user.")
	}
	var req api.CreateWorkspaceRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	n, build, err := s.newWorkspace(r, owner, req)
	if err != nil {
		return err
	}
	ws, err := s.store.CreateWorkspace(r.Context(), n, build)
	if err != nil {
		return err
	}
	s.rescheduled(ws.ID)
	s.log.Info("workspace made", "workspace", ws.Name, "owner", owner.Username, "by", callerOf(r).Username)
	reply(w, http.StatusCreated, s.workspaceJSON(ws, callerOf(r).UserID))
	return nil
}

// createMemberWorkspace is createWorkspace below an organization, which must be
// there.
func (s *Server) createMemberWorkspace(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.pathOrganization(r); err != nil {
		return err
	}
	return s.createWorkspace(w, r)
}

// newWorkspace checks a request for a workspace.
func (s *Server) newWorkspace(r *http.Request, owner store.User, req api.CreateWorkspaceRequest) (n store.NewWorkspace, b store.NewBuild, err error) {
	if (req.TemplateID == nil) == (req.TemplateVersionID == nil) {
		return n, b, invalid("template_id", "Give either this or template_version_id.")
	}
	version := uuid.Nil
	if req.TemplateVersionID != nil {
		version = *req.TemplateVersionID
	}
	t, err := s.templateFor(r, req.TemplateID, version)
	if err != nil {
		return n, b, err
	}
	if err := require(callerOf(r), auth.Use, auth.Any(auth.KindTemplate)); err != nil {
		return n, b, err
	}
	if version == uuid.Nil {
		version = t.ActiveVersionID
	}
	parameters, err := withParameters(nil, req.RichParameterValues)
	if err != nil {
		return n, b, err
	}
	done, err := byoResult(store.TransitionStart, parameters)
	if err != nil {
		return n, b, err
	}
	lasts, err := ttl(req.TTLMillis)
	if err != nil {
		return n, b, err
	}
	n = store.NewWorkspace{OwnerID: owner.ID, TemplateID: t.ID, Name: req.Name, TTL: lasts}
	if err := withSettings(&n, req); err != nil {
		return n, b, err
	}
	return n, store.NewBuild{
		TemplateVersionID: version, Transition: store.TransitionStart, InitiatorID: callerOf(r).UserID,
		Parameters: parameters, Done: done,
	}, nil
}

// templateFor is the template that a request names by itself or by a version.
func (s *Server) templateFor(r *http.Request, template *uuid.UUID, version uuid.UUID) (store.Template, error) {
	var id uuid.UUID
	field := "template_id"
	if template != nil {
		id = *template
	} else {
		field = "template_version_id"
		v, err := s.store.TemplateVersionByID(r.Context(), version)
		if err != nil {
			return store.Template{}, orInvalid(err, field)
		}
		id = v.TemplateID
	}
	t, err := s.store.TemplateByID(r.Context(), id)
	return t, orInvalid(err, field)
}

// orInvalid makes something that a field of a request names but that is not
// there an error of that field.
func orInvalid(err error, field string) error {
	if p := problemOf(err); err != nil && p != nil && p.status == http.StatusNotFound {
		return invalid(field, "There is none with this id.")
	}
	return err
}

// pathWorkspace is the workspace of the path, if the caller may do this to it.
// One that is deleted counts only for who asks for it.
func (s *Server) pathWorkspace(r *http.Request, do auth.Action) (store.Workspace, error) {
	id, err := pathID(r, "workspace")
	if err != nil {
		return store.Workspace{}, err
	}
	deleted, err := queryBool(r, "include_deleted")
	if err != nil {
		return store.Workspace{}, err
	}
	ws, err := s.store.WorkspaceByID(r.Context(), id)
	if err != nil {
		return store.Workspace{}, err
	}
	if err := require(callerOf(r), do, auth.Workspace(ws.OwnerID)); err != nil {
		return store.Workspace{}, err
	}
	if !ws.DeletedAt.IsZero() && !deleted {
		return store.Workspace{}, notFound()
	}
	return ws, nil
}

func (s *Server) getWorkspace(w http.ResponseWriter, r *http.Request) error {
	ws, err := s.pathWorkspace(r, auth.Read)
	if err != nil {
		return err
	}
	return ok(w, s.workspaceJSON(ws, callerOf(r).UserID))
}

func (s *Server) getWorkspaceByName(w http.ResponseWriter, r *http.Request) error {
	ws, err := s.pathWorkspaceByName(r)
	if err != nil {
		return err
	}
	return ok(w, s.workspaceJSON(ws, callerOf(r).UserID))
}

// pathWorkspaceByName is the workspace that the path names by owner and name.
// An owner that the caller may not read may still have a workspace that it may.
func (s *Server) pathWorkspaceByName(r *http.Request) (store.Workspace, error) {
	deleted, err := queryBool(r, "include_deleted")
	if err != nil {
		return store.Workspace{}, err
	}
	owner, err := s.findUser(r, chi.URLParam(r, "user"), callerOf(r))
	if err != nil {
		return store.Workspace{}, err
	}
	ws, err := s.store.WorkspaceByName(r.Context(), owner.ID, chi.URLParam(r, "name"), deleted)
	if err != nil {
		return store.Workspace{}, err
	}
	return ws, require(callerOf(r), auth.Read, auth.Workspace(ws.OwnerID))
}

// updateWorkspace renames a workspace.
func (s *Server) updateWorkspace(w http.ResponseWriter, r *http.Request) error {
	ws, err := s.pathWorkspace(r, auth.Update)
	if err != nil {
		return err
	}
	var req api.UpdateWorkspaceRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	if req.Name != "" && req.Name != ws.Name {
		if err := s.store.RenameWorkspace(r.Context(), ws.ID, req.Name); err != nil {
			return err
		}
		s.events.changed(ws.ID)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// postUsage writes down that a workspace is in use.
func (s *Server) postUsage(w http.ResponseWriter, r *http.Request) error {
	ws, err := s.pathWorkspace(r, auth.SSH)
	if err != nil {
		return err
	}
	var req api.UsageRequest
	if err := decodeOptional(r, &req); err != nil {
		return err
	}
	if err := checkUsage(req, ws); err != nil {
		return err
	}
	if err := s.used(r.Context(), ws.ID, orDefault(req.AppName, "use by "+callerOf(r).Username)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// checkUsage refuses half a report and an agent of another workspace.
func checkUsage(req api.UsageRequest, ws store.Workspace) error {
	if (req.AgentID == nil) != (req.AppName == "") {
		return invalid("agent_id", "Give both agent_id and app_name or none of them.")
	}
	switch req.AppName {
	case "", "vscode", "jetbrains", "reconnecting-pty", "ssh":
	default:
		return invalid("app_name", "Must be vscode, jetbrains, reconnecting-pty or ssh.")
	}
	if req.AgentID == nil {
		return nil
	}
	for _, res := range ws.LatestBuild.Resources {
		for _, a := range res.Agents {
			if a.ID == *req.AgentID {
				return nil
			}
		}
	}
	return invalid("agent_id", "The workspace has no such agent.")
}
