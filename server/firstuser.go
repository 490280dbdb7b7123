package server

import (
	"net/http"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

// getFirstUser says whether the server was set up.
func (s *Server) getFirstUser(w http.ResponseWriter, r *http.Request) error {
	has, err := s.store.HasUsers(r.Context())
	if err != nil {
		return err
	}
	if !has {
		return refuse(http.StatusNotFound, "This server has no user yet.", "")
	}
	return ok(w, api.Response{Message: "This server has its first user."})
}

// createFirstUser makes the owner of an empty server. Whoever reaches it first
// may: the store lets one call win.
func (s *Server) createFirstUser(w http.ResponseWriter, r *http.Request) error {
	if err := s.limitLogin(r); err != nil {
		return err
	}
	var req api.CreateFirstUserRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	if err := auth.CheckPassword(req.Password); err != nil {
		return err
	}
	hash, err := auth.HashPassword(req.Password)
	if err != nil {
		return err
	}
	u, err := s.store.CreateFirstUser(r.Context(), store.NewUser{
		Username: req.Username, Email: req.Email, Name: req.Name, HashedPassword: hash,
	})
	if err != nil {
		return err
	}
	s.log.Info("first user made", "user", u.Username)
	reply(w, http.StatusCreated, api.CreateFirstUserResponse{UserID: u.ID, OrganizationID: s.org.ID})
	return nil
}
