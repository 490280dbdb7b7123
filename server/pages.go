package server

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

//go:embed pages
var pageFiles embed.FS

// pagePolicy lets pages use our stylesheet and forms, and nothing else: no
// script, no frame around them.
const pagePolicy = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// pageData is what pages show. Each uses a part.
type pageData struct {
	Title    string
	Problem  string
	URL      string
	Redirect string
	Email    string
	Token    string
	Empty    bool
	List     []string

	Workspaces []homeWorkspace
}

// homeWorkspace is a workspace of who is signed in.
type homeWorkspace struct {
	Owner, Name, Status string
	Running             bool
}

func (s *Server) page(w http.ResponseWriter, status int, name string, data pageData) error {
	slices.Sort(data.List)
	t, err := template.ParseFS(pageFiles, "pages/layout.html", "pages/"+name)
	if err != nil {
		return err
	}
	var body bytes.Buffer
	if err := t.ExecuteTemplate(&body, name, data); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
	return nil
}

// getHome says what this is, and leads who is signed in to their terminals.
func (s *Server) getHome(w http.ResponseWriter, r *http.Request) error {
	has, err := s.store.HasUsers(r.Context())
	if err != nil {
		return err
	}
	data := pageData{Title: "Berth", URL: s.access.String(), Empty: !has}
	if c, err := s.identify(r); err == nil && auth.Can(c.Actor, auth.SSH, auth.Workspace(c.UserID)) {
		if data.Workspaces, err = s.homeWorkspaces(r, c); err != nil {
			return err
		}
	}
	return s.page(w, http.StatusOK, "home.html", data)
}

func (s *Server) homeWorkspaces(r *http.Request, c caller) (out []homeWorkspace, err error) {
	list, _, err := s.store.Workspaces(r.Context(), store.WorkspaceFilter{OwnerID: c.UserID})
	for _, ws := range list {
		status := ws.LatestBuild.Status()
		out = append(out, homeWorkspace{
			Owner: ws.Owner.Username, Name: ws.Name, Status: string(status), Running: status == store.StatusRunning,
		})
	}
	return out, err
}

// getLogin shows the form, or goes on when the browser is signed in.
func (s *Server) getLogin(w http.ResponseWriter, r *http.Request) error {
	to := localPath(r.URL.Query().Get("redirect"))
	if _, err := s.identify(r); err == nil {
		http.Redirect(w, r, to, http.StatusSeeOther)
		return nil
	}
	return s.page(w, http.StatusOK, "login.html", pageData{Title: "Sign in", Redirect: to})
}

// postLogin signs a browser in and goes on to where it wanted.
func (s *Server) postLogin(w http.ResponseWriter, r *http.Request) error {
	if !sameOrigin(r, s.access.Host) {
		return forbidden("The page that sent this form is not of this server.")
	}
	if err := s.limitLogin(r); err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		var tooBig *http.MaxBytesError
		if errors.As(err, &tooBig) {
			return err
		}
		return refuse(http.StatusBadRequest, "The form cannot be read.", "")
	}
	email, to := r.PostForm.Get("email"), localPath(r.PostForm.Get("redirect"))
	_, err := s.startSession(w, r, email, r.PostForm.Get("password"))
	if p := problemOf(err); err != nil && p != nil && (p.status == http.StatusUnauthorized || p.status == http.StatusForbidden) {
		return s.page(w, p.status, "login.html", pageData{Title: "Sign in", Redirect: to, Email: printable(email, 254), Problem: p.body.Message})
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// getCLIAuth shows a new session token to copy into a terminal or an editor.
func (s *Server) getCLIAuth(w http.ResponseWriter, r *http.Request) error {
	c, err := s.identify(r)
	var signedOut *auth.UnauthenticatedError
	if errors.As(err, &signedOut) {
		http.Redirect(w, r, "/login?redirect="+url.QueryEscape("/cli-auth"), http.StatusSeeOther)
		return nil
	}
	if err != nil {
		return err
	}
	if err := require(c, auth.Create, auth.APIKey(c.UserID)); err != nil {
		return err
	}
	if err := s.limit(bucket{c.UserID.String(), "token page"}, loginsPerMinute); err != nil {
		return err
	}
	token, err := s.newKey(r.Context(), store.NewAPIKey{
		UserID: c.UserID, LoginType: store.LoginPassword, Lifetime: defaultTokenLifetime, IPAddress: remoteIP(r),
	})
	if err != nil {
		return err
	}
	return s.page(w, http.StatusOK, "token.html", pageData{Title: "Session token", Token: token.Reveal(), Email: c.Username})
}

// localPath is the path and query of a redirect within this server; anything
// else is "/".
func localPath(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") ||
		strings.ContainsAny(text, "\\\r\n\t") {
		return "/"
	}
	return (&url.URL{Path: u.Path, RawQuery: u.RawQuery}).RequestURI()
}

func getStylesheet(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=3600")
	http.ServeFileFS(w, r, pageFiles, "pages/berth.css")
}
