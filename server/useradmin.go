package server

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

// createUser adds a user, who is dormant until seen.
func (s *Server) createUser(w http.ResponseWriter, r *http.Request) error {
	if err := require(callerOf(r), auth.Create, auth.User(store.User{})); err != nil {
		return forbidden("Your role does not allow you to make users.")
	}
	var req api.CreateUserRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	n, err := s.newUser(req)
	if err != nil {
		return err
	}
	u, err := s.store.CreateUser(r.Context(), n)
	if err != nil {
		return err
	}
	s.log.Info("user made", "user", u.Username, "by", callerOf(r).Username)
	reply(w, http.StatusCreated, s.userJSON(u))
	return nil
}

// newUser checks a request for a user.
func (s *Server) newUser(req api.CreateUserRequest) (store.NewUser, error) {
	n := store.NewUser{
		Username: req.Username, Email: req.Email, Name: req.Name,
		LoginType: store.LoginType(req.LoginType), Status: store.UserDormant,
	}
	for _, id := range req.OrganizationIDs {
		if id != s.org.ID {
			return n, invalid("organization_ids", "There is none with this id.")
		}
	}
	switch req.UserStatus {
	case "", api.UserDormant:
	case api.UserActive:
		n.Status = store.UserActive
	default:
		return n, invalid("user_status", "Must be active or dormant.")
	}
	return n, setLogin(&n, req.Password)
}

// setLogin has a user sign in with a password, or not at all.
func setLogin(n *store.NewUser, password string) (err error) {
	switch n.LoginType {
	case "", store.LoginPassword:
		if err := auth.CheckPassword(password); err != nil {
			return err
		}
		n.HashedPassword, err = auth.HashPassword(password)
		return err
	case store.LoginNone:
		if password != "" {
			return invalid("password", "Must be empty for a user who does not sign in.")
		}
		return nil
	}
	return invalid("login_type", "Must be password or none: this server signs nobody in otherwise.")
}

// putProfile changes the names of a user.
func (s *Server) putProfile(w http.ResponseWriter, r *http.Request) error {
	u, err := s.pathUserTo(r, auth.Update)
	if err != nil {
		return err
	}
	var req api.UpdateProfileRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	if u, err = s.store.UpdateUserProfile(r.Context(), u.ID, req.Username, req.Name); err != nil {
		return err
	}
	return ok(w, s.userJSON(u))
}

// pathUserTo is the user of the path, if the caller may do this to it.
func (s *Server) pathUserTo(r *http.Request, do auth.Action) (store.User, error) {
	u, err := s.pathUser(r)
	if err != nil {
		return u, err
	}
	return u, require(callerOf(r), do, auth.User(u))
}

// putRoles replaces the roles of a user. Everybody is a member, said or not.
func (s *Server) putRoles(w http.ResponseWriter, r *http.Request) error {
	u, err := s.pathUserTo(r, auth.Manage)
	if err != nil {
		return err
	}
	var req api.UpdateRolesRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	roles, err := rolesOf(req.Roles)
	if err != nil {
		return err
	}
	if !auth.CanAssign(callerOf(r).Actor, changed(u.Roles, roles)) {
		return forbidden("Only owners may give and take these roles.")
	}
	was := u.Roles
	if u, err = s.store.SetUserRoles(r.Context(), u.ID, roles); err != nil {
		return err
	}
	s.log.Info("roles of user changed", "user", u.Username, "roles", roles, "by", callerOf(r).Username)
	if slices.Contains(was, auth.RoleOwner) && !slices.Contains(roles, auth.RoleOwner) {
		s.shutOut(u.ID) // of workspaces of others; to their own they come back
		s.streams.admit(u.ID)
	}
	return ok(w, s.userJSON(u))
}

// rolesOf checks the names of roles, and puts them in order.
func rolesOf(names []string) ([]string, error) {
	roles := []string{}
	for _, name := range names {
		switch {
		case name == auth.RoleMember:
		case !slices.Contains(auth.Roles(), name):
			return nil, invalid("roles", printable("There is no role \""+name+"\".", 200))
		default:
			roles = append(roles, name)
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles), nil
}

// changed are what is in one list only.
func changed(before, after []string) (diff []string) {
	for _, pair := range [][2][]string{{before, after}, {after, before}} {
		for _, name := range pair[0] {
			if !slices.Contains(pair[1], name) {
				diff = append(diff, name)
			}
		}
	}
	return diff
}

// suspendUser takes everything from a user until activateUser: keys are refused,
// and what is connected ends at once. Workspaces go on: their agents are refused
// only when they connect again.
func (s *Server) suspendUser(w http.ResponseWriter, r *http.Request) error {
	u, err := s.pathUserTo(r, auth.Manage)
	if err != nil {
		return err
	}
	if u.ID == callerOf(r).UserID {
		return refuse(http.StatusBadRequest, "You cannot suspend yourself.", "")
	}
	if u, err = s.store.SetUserStatus(r.Context(), u.ID, store.UserSuspended); err != nil {
		return err
	}
	s.shutOut(u.ID)
	s.log.Info("user suspended", "user", u.Username, "by", callerOf(r).Username)
	return ok(w, s.userJSON(u))
}

// activateUser lets a user act again; all keys that have not expired are good
// again.
func (s *Server) activateUser(w http.ResponseWriter, r *http.Request) error {
	u, err := s.pathUserTo(r, auth.Manage)
	if err != nil {
		return err
	}
	if u, err = s.store.SetUserStatus(r.Context(), u.ID, store.UserActive); err != nil {
		return err
	}
	s.streams.admit(u.ID)
	s.log.Info("user activated", "user", u.Username, "by", callerOf(r).Username)
	return ok(w, s.userJSON(u))
}

// shutOut ends the tunnels and streams of a user whose keys are refused already,
// and lets none begin that is on its way. Tunnels are first: with their stream
// gone they would count as lost, which agents bear for a while.
func (s *Server) shutOut(user uuid.UUID) {
	s.streams.bar(user)
	s.coordinator.Expel(user)
	s.streams.end(user)
}

// deleteUser deletes a user without workspaces.
func (s *Server) deleteUser(w http.ResponseWriter, r *http.Request) error {
	u, err := s.pathUserTo(r, auth.Delete)
	if err != nil {
		return err
	}
	if u.ID == callerOf(r).UserID {
		return refuse(http.StatusBadRequest, "You cannot delete yourself.", "")
	}
	if err := s.store.DeleteUser(r.Context(), u.ID); err != nil {
		return err
	}
	s.shutOut(u.ID)
	s.log.Info("user deleted", "user", u.Username, "by", callerOf(r).Username)
	return ok(w, api.Response{Message: "The user is deleted."})
}

// putPassword sets the password of a user, which ends all of their sessions and
// tokens. Who may not manage the user must know the old one, and so must everybody
// for their own: a session that was stolen is not to become the account.
func (s *Server) putPassword(w http.ResponseWriter, r *http.Request) error {
	if err := s.limitLogin(r); err != nil {
		return err
	}
	u, err := s.pathUserTo(r, auth.Update)
	if err != nil {
		return err
	}
	var req api.UpdatePasswordRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	manages := u.ID != callerOf(r).UserID && auth.Can(callerOf(r).Actor, auth.Manage, auth.User(u))
	if err := checkNewPassword(u, req, manages); err != nil {
		return err
	}
	hash, err := auth.HashPassword(req.Password)
	if err != nil {
		return err
	}
	if err := s.store.SetUserPassword(r.Context(), u.ID, hash); err != nil {
		return err
	}
	s.log.Info("password changed", "user", u.Username, "by", callerOf(r).Username)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// checkNewPassword refuses what cannot be the next password of a user.
func checkNewPassword(u store.User, req api.UpdatePasswordRequest, manages bool) error {
	if u.LoginType != store.LoginPassword {
		return refuse(http.StatusBadRequest, "This user does not sign in with a password.", "")
	}
	if !manages {
		if right, err := auth.VerifyPassword(u.HashedPassword, req.OldPassword); err != nil || !right {
			return cmp.Or(err, error(invalid("old_password", "This is not the old password.")))
		}
	}
	if err := auth.CheckPassword(req.Password); err != nil {
		return err
	}
	if same, err := auth.VerifyPassword(u.HashedPassword, req.Password); err != nil || same {
		return cmp.Or(err, error(refuse(http.StatusBadRequest, "New password cannot match old password.", ""))) // clients look for the text
	}
	return nil
}
