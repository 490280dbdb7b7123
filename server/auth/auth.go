// Package auth decides who calls and what they may do: passwords, tokens, and
// the one function Can that every handler asks.
//
// It keeps these promises. A password or token in memory is a Secret, which
// formats as a redaction. Only hashes are stored, and they are compared in
// constant time. Logging in costs and says the same for an unknown user as for
// a wrong password. A suspended user may do nothing from the next request on.
//
// Rows are kept by server/store; cookies, headers and status codes belong to
// the server.
package auth

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/store"
)

// Secret is store.Secret: text that does not format.
type Secret = store.Secret

// Config tunes an Authenticator. The zero value is the usual behaviour.
type Config struct {
	// KeepExpiry stops the use of a session from extending it.
	KeepExpiry bool

	// OwnersStayOut denies site owners ssh and apps in other users' workspaces.
	OwnersStayOut bool

	// Logger hears when the use of a key could not be written down; nil
	// discards.
	Logger *slog.Logger
}

// An Authenticator finds out who calls.
type Authenticator struct {
	store *store.Store
	cfg   Config
}

// New returns an Authenticator on s, which the caller closes.
func New(s *store.Store, cfg Config) *Authenticator {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Authenticator{store: s, cfg: cfg}
}

// signedOut is what clients of this API look for in a 401, and what their
// users read.
const signedOut = "You are signed out or your session has expired. Please sign in again to continue."

// An UnauthenticatedError refuses a caller; the API answers 401 with its two
// texts.
type UnauthenticatedError struct {
	Message string
	Detail  string // clients recognise an expired key by "API key expired"
}

func (e *UnauthenticatedError) Error() string { return e.Message + " " + e.Detail }

func refuse(format string, args ...any) error {
	return &UnauthenticatedError{Message: signedOut, Detail: fmt.Sprintf(format, args...)}
}

// Authenticate returns who calls with a session or API token. It reads one row;
// at most hourly it also writes that the key and its user were seen, from ip,
// and extends a session. Such a write that goes wrong is logged, not returned:
// a full disk must not lock everybody out.
//
// The error is an *UnauthenticatedError, or trouble of the database.
func (a *Authenticator) Authenticate(ctx context.Context, token, ip string, now time.Time) (Actor, store.APIKey, error) {
	key, err := a.findKey(ctx, token)
	if err != nil {
		return Actor{}, store.APIKey{}, err
	}
	if err := checkKey(key, now); err != nil {
		return Actor{}, store.APIKey{}, err
	}
	if use := a.use(key, ip, now); key.Due(use) {
		if _, err := a.store.TouchAPIKey(ctx, key.ID, use); err != nil && ctx.Err() == nil {
			a.cfg.Logger.Error("use of key not written", "key", key.ID, "err", err)
		}
	}
	return a.actor(key), key, nil
}

func (a *Authenticator) findKey(ctx context.Context, token string) (store.APIKey, error) {
	if token == "" {
		return store.APIKey{}, refuse("A session token must be given, as a cookie, header or query parameter.")
	}
	given, err := ParseKey(token)
	if err != nil {
		return store.APIKey{}, refuse("Invalid API key format: %s.", err)
	}
	key, err := a.store.APIKeyByID(ctx, given.ID)
	if errors.Is(err, store.ErrNotFound) {
		return store.APIKey{}, refuse("API key is invalid.")
	}
	if err != nil {
		return store.APIKey{}, fmt.Errorf("read API key: %w", err)
	}
	if subtle.ConstantTimeCompare(key.HashedSecret, given.Secret.Hash()) != 1 {
		return store.APIKey{}, refuse("API key secret is invalid.")
	}
	return key, nil
}

// checkKey refuses a key that is genuine but no longer good.
func checkKey(key store.APIKey, now time.Time) error {
	switch {
	case !now.Before(key.ExpiresAt):
		return refuse("API key expired at %q.", key.ExpiresAt.Format(time.RFC3339))
	case !key.User.DeletedAt.IsZero():
		return refuse("API key is invalid.")
	case key.User.Status == store.UserSuspended:
		return suspended(*key.User)
	}
	return nil
}

// use is what to write down about this use of a key. A session is extended
// once an hour of its life is gone; a token that somebody made by hand ends
// when they said it should.
func (a *Authenticator) use(key store.APIKey, ip string, now time.Time) store.KeyUse {
	use := store.KeyUse{At: now, IPAddress: ip, ExpiresAt: key.ExpiresAt}
	slides := !a.cfg.KeepExpiry && key.LoginType != store.LoginToken
	if slides && key.ExpiresAt.Sub(now) <= key.Lifetime()-time.Hour {
		use.ExpiresAt = now.Add(key.Lifetime())
	}
	return use
}

func (a *Authenticator) actor(key store.APIKey) Actor {
	return Actor{
		UserID: key.UserID, Username: key.User.Username, Roles: key.User.Roles,
		Scope: key.Scope, OwnersStayOut: a.cfg.OwnersStayOut,
	}
}

// AuthenticateAgent returns the live agent that a token belongs to. The error
// is an *UnauthenticatedError, or trouble of the database.
func (a *Authenticator) AuthenticateAgent(ctx context.Context, token string) (store.AgentDetail, error) {
	if token == "" {
		return store.AgentDetail{}, refuseAgent("An agent token must be given.")
	}
	secret, err := ParseAgentToken(token)
	if err != nil {
		return store.AgentDetail{}, refuseAgent("The agent token is not a UUID.")
	}
	agent, err := a.store.AgentByTokenHash(ctx, secret.Hash())
	switch {
	case errors.Is(err, store.ErrAgentInactive):
		return store.AgentDetail{}, refuseAgent("The workspace of this agent is not running.")
	case errors.Is(err, store.ErrAgentDead):
		return store.AgentDetail{}, refuseAgent(api.DetailAgentTokenDead)
	case errors.Is(err, store.ErrNotFound):
		return store.AgentDetail{}, refuseAgent("No workspace has an agent with this token.")
	case err != nil:
		return store.AgentDetail{}, fmt.Errorf("read agent: %w", err)
	}
	return agent, nil
}

func refuseAgent(detail string) error {
	return &UnauthenticatedError{Message: "The agent token is not valid.", Detail: detail}
}
