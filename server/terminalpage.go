package server

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
	"github.com/berthdev/berth/server/web"
)

// getTerminalPage shows a terminal of the workspace that the path names, as
// owner and workspace or workspace.agent.
func (s *Server) getTerminalPage(w http.ResponseWriter, r *http.Request) error {
	c, err := s.identify(r)
	var signedOut *auth.UnauthenticatedError
	if errors.As(err, &signedOut) {
		http.Redirect(w, r, "/login?redirect="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
		return nil
	}
	if err != nil {
		return err
	}
	ws, err := s.terminalWorkspace(r, c)
	if p := problemOf(err); p != nil && p.status == http.StatusNotFound {
		return web.Terminal(w, web.TerminalPage{
			Owner: chi.URLParam(r, "user"), Workspace: chi.URLParam(r, "workspace"), Status: http.StatusNotFound,
			Problem: "There is no such workspace, or it is not yours.", Advice: "Yours: coder list",
		})
	}
	if err != nil {
		return err
	}
	_, agent, _ := strings.Cut(chi.URLParam(r, "workspace"), ".")
	return web.Terminal(w, s.terminalPage(ws, agent))
}

// terminalWorkspace is the workspace of the path, if the caller may open
// terminals in it.
func (s *Server) terminalWorkspace(r *http.Request, c caller) (store.Workspace, error) {
	owner, err := s.findUser(r, chi.URLParam(r, "user"), c)
	if err != nil {
		return store.Workspace{}, err
	}
	name, _, _ := strings.Cut(chi.URLParam(r, "workspace"), ".")
	ws, err := s.store.WorkspaceByName(r.Context(), owner.ID, name, false)
	if err != nil {
		return store.Workspace{}, err
	}
	return ws, hidden(require(c, auth.SSH, auth.Workspace(ws.OwnerID)))
}

// terminalPage says which agent the terminal is of, or why there is none.
func (s *Server) terminalPage(ws store.Workspace, agent string) web.TerminalPage {
	page := web.TerminalPage{Owner: ws.Owner.Username, Workspace: ws.Name, Agent: agent}
	if ws.LatestBuild.Status() != store.StatusRunning {
		page.Problem = "The workspace is " + string(ws.LatestBuild.Status()) + "."
		page.Advice = "Start it: coder start " + ws.Owner.Username + "/" + ws.Name
		return page
	}
	var found []*store.Agent
	for _, res := range ws.LatestBuild.Resources {
		for _, a := range res.Agents {
			if agent == "" || strings.EqualFold(a.Name, agent) {
				found = append(found, a)
			}
		}
	}
	switch {
	case len(found) == 0:
		page.Problem, page.Advice = "The workspace has no such agent.", "Its agents: coder show "+ws.Owner.Username+"/"+ws.Name
	case len(found) > 1:
		page.Problem, page.Advice = "The workspace has several agents.", "Name one in the address: /@"+ws.Owner.Username+"/"+ws.Name+".AGENT/terminal"
	default:
		page.AgentID = found[0].ID
	}
	return page
}
