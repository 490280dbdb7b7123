package server

import (
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

// roleNames are the roles as people read them.
var roleNames = map[string]string{
	auth.RoleOwner: "Owner", auth.RoleUserAdmin: "User Admin",
	auth.RoleTemplateAdmin: "Template Admin", auth.RoleAuditor: "Auditor",
}

func (s *Server) userJSON(u store.User) api.User {
	out := api.User{
		ID: u.ID, Username: u.Username, Name: u.Name, Email: u.Email, AvatarURL: u.AvatarURL,
		CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt, LastSeenAt: u.LastSeenAt,
		Status: api.UserStatus(u.Status), LoginType: api.LoginType(u.LoginType),
		OrganizationIDs: []uuid.UUID{s.org.ID}, Roles: make([]api.Role, 0, len(u.Roles)),
	}
	for _, name := range u.Roles {
		out.Roles = append(out.Roles, api.Role{Name: name, DisplayName: roleNames[name]})
	}
	return out
}

// pathUser is the user that the path names by id, by name or as "me", if the
// caller may read it.
func (s *Server) pathUser(r *http.Request) (store.User, error) {
	c := callerOf(r)
	u, err := s.findUser(r, chi.URLParam(r, "user"), c)
	if err != nil {
		return store.User{}, err
	}
	return u, require(c, auth.Read, auth.User(u))
}

func (s *Server) findUser(r *http.Request, text string, c caller) (store.User, error) {
	if strings.EqualFold(text, api.Me) {
		return s.store.UserByID(r.Context(), c.UserID)
	}
	if id, err := uuid.Parse(text); err == nil {
		return s.store.UserByID(r.Context(), id)
	}
	return s.store.UserByUsername(r.Context(), text)
}

func (s *Server) getUser(w http.ResponseWriter, r *http.Request) error {
	u, err := s.pathUser(r)
	if err != nil {
		return err
	}
	return ok(w, s.userJSON(u))
}

func (s *Server) getLoginType(w http.ResponseWriter, r *http.Request) error {
	u, err := s.pathUser(r)
	if err != nil {
		return err
	}
	return ok(w, api.LoginTypeResponse{LoginType: api.LoginType(u.LoginType)})
}

func (s *Server) listUsers(w http.ResponseWriter, r *http.Request) error {
	if err := require(callerOf(r), auth.Read, auth.Any(auth.KindUser)); err != nil {
		return forbidden("Your role does not allow you to list users.")
	}
	f, err := userFilter(r)
	if err != nil {
		return err
	}
	list, count, err := s.store.Users(r.Context(), f)
	if err != nil {
		return err
	}
	out := api.UsersResponse{Users: make([]api.User, 0, len(list)), Count: count}
	for _, u := range list {
		out.Users = append(out.Users, s.userJSON(u))
	}
	return ok(w, out)
}

func userFilter(r *http.Request) (store.UserFilter, error) {
	p, err := pageOf(r)
	if err != nil {
		return store.UserFilter{}, err
	}
	f := store.UserFilter{Limit: p.limit, Offset: p.offset, After: p.after}
	terms, err := parseQuery(r.URL.Query().Get("q"), "search", "status", "role",
		"login_type", "created_after", "created_before", "last_seen_after", "last_seen_before", "github_com_user_id")
	if err != nil {
		return f, err
	}
	f.Search, f.Status, f.Role = terms["search"], store.UserStatus(terms["status"]), terms["role"]
	f.LoginType = store.LoginType(terms["login_type"])
	_, f.Nobody = terms["github_com_user_id"] // of which none is known
	for key, to := range map[string]*time.Time{
		"created_after": &f.CreatedAfter, "created_before": &f.CreatedBefore,
		"last_seen_after": &f.LastSeenAfter, "last_seen_before": &f.LastSeenBefore,
	} {
		if *to, err = timeTerm(terms, key); err != nil {
			return f, err
		}
	}
	return f, nil
}
