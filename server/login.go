package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

// defaultTokenLifetime is how long keys of the command line and API tokens
// without a lifetime last.
const defaultTokenLifetime = 7 * 24 * time.Hour

// login checks a password and answers with the token of a new session, also as
// a cookie.
func (s *Server) login(w http.ResponseWriter, r *http.Request) error {
	if err := s.limitLogin(r); err != nil {
		return err
	}
	var req api.LoginRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	token, err := s.startSession(w, r, req.Email, req.Password)
	if err != nil {
		return err
	}
	reply(w, http.StatusCreated, api.LoginResponse{SessionToken: token.Reveal()})
	return nil
}

// startSession signs a browser in.
func (s *Server) startSession(w http.ResponseWriter, r *http.Request, email, password string) (store.Secret, error) {
	u, err := s.auth.LogIn(r.Context(), email, password)
	if err != nil {
		return store.Secret{}, s.loginProblem(r, err)
	}
	token, err := s.newKey(r.Context(), store.NewAPIKey{
		UserID: u.ID, LoginType: store.LoginPassword, Lifetime: s.cfg.SessionDuration, IPAddress: remoteIP(r),
	})
	if err != nil {
		return store.Secret{}, err
	}
	s.log.Info("user signed in", "user", u.Username, "ip", remoteIP(r))
	http.SetCookie(w, s.cookie(token.Reveal(), 0))
	return token, nil
}

func (s *Server) loginProblem(r *http.Request, err error) error {
	var refused *auth.UnauthenticatedError
	switch {
	case errors.Is(err, auth.ErrCredentials):
		s.log.Info("sign-in refused", "ip", remoteIP(r))
		return refuse(http.StatusUnauthorized, "Incorrect email or password.", "")
	case errors.Is(err, auth.ErrLoginType):
		return refuse(http.StatusForbidden, "This user does not sign in with a password.", "")
	case errors.As(err, &refused):
		return refuse(http.StatusUnauthorized, refused.Message, refused.Detail)
	}
	return err
}

// newKey keeps a new key and returns its text.
func (s *Server) newKey(ctx context.Context, n store.NewAPIKey) (store.Secret, error) {
	key := auth.NewKey()
	n.ID, n.HashedSecret = key.ID, key.Secret.Hash()
	if _, err := s.store.CreateAPIKey(ctx, n); err != nil {
		return store.Secret{}, err
	}
	return key.Token(), nil
}

// cookie is the session cookie; when the session ends is kept in the database.
// A negative age deletes it.
func (s *Server) cookie(token string, age int) *http.Cookie {
	return &http.Cookie{
		Name: api.CookieToken, Value: token, Path: "/", MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.access.Scheme == "https",
	}
}

// logout ends the session of the caller.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) error {
	http.SetCookie(w, s.cookie("", -1))
	if err := s.store.LogOut(r.Context(), callerOf(r).key.ID); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return ok(w, api.Response{Message: "Logged out!"})
}

func (s *Server) getAuthMethods(w http.ResponseWriter, _ *http.Request) error {
	return ok(w, api.AuthMethods{Password: api.AuthMethod{Enabled: true}})
}

// validatePassword says whether a password would be taken.
func (s *Server) validatePassword(w http.ResponseWriter, r *http.Request) error {
	if err := s.limitLogin(r); err != nil {
		return err
	}
	var req api.ValidatePasswordRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	var bad *store.InvalidError
	if err := auth.CheckPassword(req.Password); errors.As(err, &bad) {
		return ok(w, api.ValidatePasswordResponse{Details: bad.Detail})
	}
	return ok(w, api.ValidatePasswordResponse{Valid: true})
}
