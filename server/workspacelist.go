package server

import (
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

// workspaceKeys are what workspaces can be searched by. Not by with whom they are
// shared: clients take the error as the word that nothing ever is.
var workspaceKeys = []string{
	"owner", "name", "template", "status", "organization", "id", "deleted",
	"outdated", "dormant", "shared", "has-ai-task", "has_external_agent", "last_used_after", "last_used_before",
	"has-agent", "healthy", "param",
}

// listWorkspaces searches among those that the caller may read.
func (s *Server) listWorkspaces(w http.ResponseWriter, r *http.Request) error {
	c := callerOf(r)
	f, err := s.workspaceFilter(r, c)
	if err != nil {
		return err
	}
	if !auth.Can(c.Actor, auth.Read, auth.Any(auth.KindWorkspace)) {
		if err := require(c, auth.Read, auth.Workspace(c.UserID)); err != nil {
			return err
		}
		if f.OwnerID == uuid.Nil {
			f.OwnerID = c.UserID
		}
		if f.OwnerID != c.UserID {
			return ok(w, api.WorkspacesResponse{Workspaces: []api.Workspace{}})
		}
	}
	out, err := s.findWorkspaces(r.Context(), f, c.UserID)
	if err != nil {
		return err
	}
	return ok(w, out)
}

// workspaceFilter reads the search and the page of a list of workspaces.
func (s *Server) workspaceFilter(r *http.Request, c caller) (f workspaceSearch, err error) {
	p, err := pageOf(r)
	if err != nil {
		return f, err
	}
	terms, err := parseQuery(r.URL.Query().Get("q"), "name", workspaceKeys...)
	if err != nil {
		return f, err
	}
	if f.WorkspaceFilter, err = filterOf(terms, c.UserID); err != nil {
		return f, err
	}
	if err := f.read(terms); err != nil {
		return f, err
	}
	f.Limit, f.Offset, f.FavoritesOf = p.limit, p.offset, c.UserID
	if name, given := terms["organization"]; given && name != "default" && !strings.EqualFold(name, s.org.Name) && name != s.org.ID.String() {
		f.IDs = []uuid.UUID{} // no other has workspaces
	}
	return f, nil
}

// filterOf turns the terms of a search into a filter.
func filterOf(terms map[string]string, me uuid.UUID) (f store.WorkspaceFilter, err error) {
	f.Name, f.Template = terms["name"], terms["template"]
	if owner, name, both := strings.Cut(f.Name, "/"); both {
		if _, twice := terms["owner"]; twice {
			return f, badQuery("names the owner twice")
		}
		terms["owner"], f.Name, f.ExactName = owner, "", name
	}
	switch owner := terms["owner"]; owner {
	case "":
	case api.Me:
		f.OwnerID = me
	default:
		f.Owner = owner
	}
	switch status := terms["status"]; api.BuildStatus(status) {
	case "", api.BuildPending, api.BuildStarting, api.BuildRunning, api.BuildStopping, api.BuildStopped,
		api.BuildFailed, api.BuildCanceling, api.BuildCanceled, api.BuildDeleting, api.BuildDeleted:
		f.Status = store.BuildStatus(status)
	default:
		return f, badQuery("has no status %q", status)
	}
	switch terms["deleted"] {
	case "", "false":
	case "true":
		f.Status = store.StatusDeleted
	default:
		return f, badQuery(`wants true or false for "deleted"`)
	}
	if ids, given := terms["id"]; given {
		for text := range strings.SplitSeq(ids, ",") {
			id, err := uuid.Parse(text)
			if err != nil {
				return f, badQuery("has %q where an id should be", text)
			}
			f.IDs = append(f.IDs, id)
		}
	}
	return f, nil
}
