package server

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

// maxTokenLifetime bounds API tokens: a hundred years, as a number that every
// client can hold in nanoseconds.
const maxTokenLifetime = 876600 * time.Hour

func keyJSON(k store.APIKey) api.APIKey {
	out := api.APIKey{
		ID: k.ID, UserID: k.UserID, LastUsed: k.LastUsed, ExpiresAt: k.ExpiresAt, CreatedAt: k.CreatedAt,
		UpdatedAt: k.UpdatedAt, LoginType: api.LoginType(k.LoginType), Scope: string(k.Scope),
		Scopes: []string{"coder:" + string(k.Scope)}, TokenName: k.TokenName, LifetimeSeconds: k.LifetimeSeconds,
	}
	if k.User != nil {
		out.Username = k.User.Username
	}
	return out
}

// createSessionKey makes a key for the command line or an editor. It never
// sets the cookie, so that it outlives the browser's session.
func (s *Server) createSessionKey(w http.ResponseWriter, r *http.Request) error {
	u, err := s.pathUser(r)
	if err != nil {
		return err
	}
	if err := require(callerOf(r), auth.Create, auth.APIKey(u.ID)); err != nil {
		return err
	}
	token, err := s.newKey(r.Context(), store.NewAPIKey{
		UserID: u.ID, LoginType: store.LoginPassword, Lifetime: defaultTokenLifetime, IPAddress: remoteIP(r),
	})
	if err != nil {
		return err
	}
	reply(w, http.StatusCreated, api.GenerateKeyResponse{Key: token.Reveal()})
	return nil
}

// createToken makes an API token with a name.
func (s *Server) createToken(w http.ResponseWriter, r *http.Request) error {
	u, err := s.pathUser(r)
	if err != nil {
		return err
	}
	if err := require(callerOf(r), auth.Create, auth.APIKey(u.ID)); err != nil {
		return err
	}
	var req api.CreateTokenRequest
	if err := decodeOptional(r, &req); err != nil {
		return err
	}
	n, err := newToken(req)
	if err != nil {
		return err
	}
	n.UserID, n.IPAddress = u.ID, remoteIP(r)
	token, err := s.newKey(r.Context(), n)
	if err != nil {
		return err
	}
	reply(w, http.StatusCreated, api.GenerateKeyResponse{Key: token.Reveal()})
	return nil
}

// newToken checks a request for a token and fills in what is left out.
func newToken(req api.CreateTokenRequest) (store.NewAPIKey, error) {
	n := store.NewAPIKey{LoginType: store.LoginToken, TokenName: req.TokenName, Lifetime: req.Lifetime}
	switch strings.TrimPrefix(req.Scope, "coder:") {
	case "", string(store.ScopeAll):
		n.Scope = store.ScopeAll
	case string(store.ScopeApplicationConnect):
		n.Scope = store.ScopeApplicationConnect
	default:
		return n, invalid("scope", "Must be all or application_connect.")
	}
	if n.Lifetime == 0 {
		n.Lifetime = defaultTokenLifetime
	}
	if n.Lifetime < time.Second || n.Lifetime > maxTokenLifetime {
		return n, invalid("lifetime", "Must be between a second and "+maxTokenLifetime.String()+".")
	}
	if n.TokenName == "" {
		n.TokenName = "token-" + strings.ToLower(auth.NewKey().ID)
	}
	return n, nil
}

func (s *Server) listTokens(w http.ResponseWriter, r *http.Request) error {
	u, err := s.pathUser(r)
	if err != nil {
		return err
	}
	all, err := queryBool(r, "include_all")
	if err != nil {
		return err
	}
	f := store.KeyFilter{UserID: u.ID, LoginType: store.LoginToken}
	object := auth.APIKey(u.ID)
	if all {
		f.UserID, object = [16]byte{}, auth.Any(auth.KindAPIKey)
	}
	if err := require(callerOf(r), auth.Read, object); err != nil {
		return forbidden("Your role does not allow you to list these tokens.")
	}
	list, err := s.store.APIKeys(r.Context(), f)
	if err != nil {
		return err
	}
	out := make([]api.APIKey, 0, len(list))
	for _, k := range list {
		out = append(out, keyJSON(k))
	}
	return ok(w, out)
}

func (s *Server) getTokenConfig(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.pathUser(r); err != nil {
		return err
	}
	return ok(w, api.TokenConfig{MaxTokenLifetime: maxTokenLifetime})
}

func (s *Server) getKey(w http.ResponseWriter, r *http.Request) error {
	k, err := s.pathKey(r, auth.Read)
	if err != nil {
		return err
	}
	return ok(w, keyJSON(k))
}

func (s *Server) getTokenByName(w http.ResponseWriter, r *http.Request) error {
	u, err := s.pathUser(r)
	if err != nil {
		return err
	}
	if err := require(callerOf(r), auth.Read, auth.APIKey(u.ID)); err != nil {
		return err
	}
	k, err := s.store.APIKeyByName(r.Context(), u.ID, chi.URLParam(r, "name"))
	if err != nil {
		return err
	}
	return ok(w, keyJSON(k))
}

func (s *Server) deleteKey(w http.ResponseWriter, r *http.Request) error {
	k, err := s.pathKey(r, auth.Delete)
	if err != nil {
		return err
	}
	if err := s.store.DeleteAPIKey(r.Context(), k.ID); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// pathKey is the key of the path, which must be one of the user of the path.
func (s *Server) pathKey(r *http.Request, do auth.Action) (store.APIKey, error) {
	u, err := s.pathUser(r)
	if err != nil {
		return store.APIKey{}, err
	}
	if err := require(callerOf(r), do, auth.APIKey(u.ID)); err != nil {
		return store.APIKey{}, err
	}
	k, err := s.store.APIKeyByID(r.Context(), chi.URLParam(r, "key"))
	if err == nil && k.UserID != u.ID {
		return store.APIKey{}, notFound()
	}
	return k, err
}
