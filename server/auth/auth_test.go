package auth_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
	"github.com/berthdev/berth/server/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// must returns v, or ends the test.
func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

const password = "correct-Horse-9"

func newUser(t *testing.T, s *store.Store, name string, typ store.LoginType) store.User {
	t.Helper()
	hash := must(auth.HashPassword(password))(t)
	return must(s.CreateUser(t.Context(), store.NewUser{
		Username: name, Email: name + "@example.com", HashedPassword: hash, LoginType: typ, Roles: []string{auth.RoleAuditor},
	}))(t)
}

func newKey(t *testing.T, s *store.Store, u store.User, typ store.LoginType, lifetime time.Duration) auth.Key {
	t.Helper()
	k := auth.NewKey()
	n := store.NewAPIKey{ID: k.ID, HashedSecret: k.Secret.Hash(), UserID: u.ID, LoginType: typ, Lifetime: lifetime}
	must(s.CreateAPIKey(t.Context(), n))(t)
	return k
}

func TestAuthenticate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		a := auth.New(s, auth.Config{OwnersStayOut: true})
		u := newUser(t, s, "ann", "")
		k := newKey(t, s, u, store.LoginPassword, 24*time.Hour)
		actor, key, err := a.Authenticate(t.Context(), k.Token().Reveal(), "192.0.2.1", time.Now())
		if err != nil {
			t.Fatalf("Authenticate: %v", err)
		}
		if actor.UserID != u.ID || actor.Username != "ann" || !actor.Has(auth.RoleAuditor) || actor.Scope != store.ScopeAll || !actor.OwnersStayOut {
			t.Errorf("actor = %+v", actor)
		}
		if key.ID != k.ID || key.User.Email != "ann@example.com" {
			t.Errorf("key = %v of %v", key.ID, key.User.Email)
		}
		row := must(s.APIKeyByID(t.Context(), k.ID))(t)
		if row.IPAddress != "192.0.2.1" || row.LastUsed.IsZero() || row.User.LastSeenAt.IsZero() {
			t.Errorf("after use: ip %q, last used %v, seen %v", row.IPAddress, row.LastUsed, row.User.LastSeenAt)
		}
	})
}

func TestAuthenticateRefuses(t *testing.T) {
	s := storetest.SQLite(t)
	a := auth.New(s, auth.Config{})
	u := newUser(t, s, "ann", "")
	k := newKey(t, s, u, store.LoginPassword, time.Hour)
	wrong := auth.Key{ID: k.ID, Secret: auth.NewKey().Secret}
	for _, c := range []struct {
		name, token string
		after       time.Duration
		detail      string
	}{
		{"no token", "", 0, "must be given"},
		{"garbage", "garbage", 0, "Invalid API key format"},
		{"unknown id", auth.NewKey().Token().Reveal(), 0, "API key is invalid."},
		{"wrong secret", wrong.Token().Reveal(), 0, "API key secret is invalid."},
		{"expired", k.Token().Reveal(), time.Hour + time.Second, `API key expired at "`},
	} {
		_, _, err := a.Authenticate(t.Context(), c.token, "", time.Now().Add(c.after))
		var refused *auth.UnauthenticatedError
		if !errors.As(err, &refused) || !strings.HasPrefix(refused.Detail, c.detail) && !strings.Contains(refused.Detail, c.detail) {
			t.Errorf("Authenticate(%s) = %v, want detail %q", c.name, err, c.detail)
		} else if !strings.HasPrefix(refused.Message, "You are signed out or your session has expired.") {
			t.Errorf("Authenticate(%s): message %q", c.name, refused.Message)
		}
	}
}

func TestAuthenticateRefusesSuspendedAndDeleted(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		a := auth.New(s, auth.Config{})
		u := newUser(t, s, "ann", "")
		k := newKey(t, s, u, store.LoginPassword, time.Hour)
		must(s.SetUserStatus(t.Context(), u.ID, store.UserSuspended))(t)
		_, _, err := a.Authenticate(t.Context(), k.Token().Reveal(), "", time.Now())
		var refused *auth.UnauthenticatedError
		if !errors.As(err, &refused) || !strings.HasPrefix(refused.Message, `User is not active (status = "suspended"). Contact an admin`) {
			t.Errorf("Authenticate(suspended) = %v", err)
		}
		if err := s.DeleteUser(t.Context(), u.ID); err != nil {
			t.Fatal(err)
		}
		if _, _, err := a.Authenticate(t.Context(), k.Token().Reveal(), "", time.Now()); !errors.As(err, &refused) || refused.Detail != "API key is invalid." {
			t.Errorf("Authenticate(deleted) = %v", err)
		}
	})
}

func TestAuthenticateReportsTroubleOfTheDatabase(t *testing.T) {
	s := storetest.SQLite(t)
	a := auth.New(s, auth.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := a.Authenticate(ctx, auth.NewKey().Token().Reveal(), "", time.Now())
	var refused *auth.UnauthenticatedError
	if err == nil || errors.As(err, &refused) {
		t.Errorf("Authenticate(canceled) = %v, want trouble, not a refusal", err)
	}
}

// A session slides once an hour of it is gone, a named token and a session of a
// server that was told so do not.
func TestSlidingExpiry(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		u := newUser(t, s, "ann", "")
		for _, c := range []struct {
			name  string
			typ   store.LoginType
			cfg   auth.Config
			after time.Duration
			moves bool
		}{
			{"session at once", store.LoginPassword, auth.Config{}, 0, false},
			{"session after 59 min", store.LoginPassword, auth.Config{}, 59 * time.Minute, false},
			{"session after 61 min", store.LoginPassword, auth.Config{}, 61 * time.Minute, true},
			{"kept expiry", store.LoginPassword, auth.Config{KeepExpiry: true}, 61 * time.Minute, false},
			{"token", store.LoginToken, auth.Config{}, 61 * time.Minute, false},
		} {
			k := newKey(t, s, u, c.typ, 90*time.Minute)
			made := must(s.APIKeyByID(t.Context(), k.ID))(t)
			a := auth.New(s, c.cfg)
			at := made.CreatedAt.Add(c.after)
			for range 2 { // the second use finds nothing to do
				if _, _, err := a.Authenticate(t.Context(), k.Token().Reveal(), "", at); err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
			}
			want := made.ExpiresAt
			if c.moves {
				want = at.Add(90 * time.Minute)
			}
			if got := must(s.APIKeyByID(t.Context(), k.ID))(t); !got.ExpiresAt.Equal(want) {
				t.Errorf("%s: expires %v, want %v", c.name, got.ExpiresAt, want)
			}
		}
	})
}

// Used at 50 min and again at 70: the hourly write of the first use must not
// keep the second from extending a session of 90.
func TestSlidingExpiryOfShortSession(t *testing.T) {
	s := storetest.SQLite(t)
	a := auth.New(s, auth.Config{})
	k := newKey(t, s, newUser(t, s, "ann", ""), store.LoginPassword, 90*time.Minute)
	made := must(s.APIKeyByID(t.Context(), k.ID))(t).CreatedAt
	for _, min := range []time.Duration{50, 70, 140} {
		if _, _, err := a.Authenticate(t.Context(), k.Token().Reveal(), "", made.Add(min*time.Minute)); err != nil {
			t.Fatalf("Authenticate after %d min: %v", min, err)
		}
	}
}

func TestLogIn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		a := auth.New(s, auth.Config{})
		ann := newUser(t, s, "ann", "")
		sus := newUser(t, s, "sus", "")
		must(s.SetUserStatus(t.Context(), sus.ID, store.UserSuspended))(t)
		newUser(t, s, "oidc", store.LoginOIDC)
		must(s.CreateUser(t.Context(), store.NewUser{Username: "none", Email: "none@example.com", LoginType: store.LoginNone}))(t)

		if u, err := a.LogIn(t.Context(), "ANN@example.com", password); err != nil || u.ID != ann.ID {
			t.Errorf("LogIn(right) = %v, %v", u.ID, err)
		}
		for _, c := range []struct{ email, password string }{
			{"ann@example.com", "wrong"},
			{"nobody@example.com", password},
			{"none@example.com", ""},
			{"", ""},
			{"sus@example.com", "wrong"},
			{"oidc@example.com", "wrong"},
			{"a\x00@example.com", password},
		} {
			if _, err := a.LogIn(t.Context(), c.email, c.password); !errors.Is(err, auth.ErrCredentials) {
				t.Errorf("LogIn(%q, %q) = %v, want %v", c.email, c.password, err, auth.ErrCredentials)
			}
		}
		var refused *auth.UnauthenticatedError
		if _, err := a.LogIn(t.Context(), "sus@example.com", password); !errors.As(err, &refused) {
			t.Errorf("LogIn(suspended) = %v", err)
		}
		if _, err := a.LogIn(t.Context(), "oidc@example.com", password); !errors.Is(err, auth.ErrLoginType) {
			t.Errorf("LogIn(oidc) = %v", err)
		}
	})
}

func TestAuthenticateAgent(t *testing.T) {
	s := storetest.SQLite(t)
	a := auth.New(s, auth.Config{})
	u := newUser(t, s, "ann", "")
	token := auth.NewAgentToken()
	w := must(s.CreateWorkspace(t.Context(), store.NewWorkspace{OwnerID: u.ID, TemplateID: store.BYOTemplateID, Name: "ws"}, store.NewBuild{
		TemplateVersionID: store.BYOTemplateVersionID, Transition: store.TransitionStart, InitiatorID: u.ID,
		Done: &store.BuildResult{Resources: []store.NewResource{{Type: "t", Name: "n", Agents: []store.NewAgent{
			{Token: token, AgentSpec: store.AgentSpec{Name: "main", External: true}},
		}}}},
	}))(t)
	d, err := a.AuthenticateAgent(t.Context(), token.Reveal())
	if err != nil || d.Workspace.ID != w.ID || d.Owner.ID != u.ID || d.Agent.Name != "main" {
		t.Fatalf("AuthenticateAgent = %v, %v", d.Agent.Name, err)
	}
	for text, detail := range map[string]string{
		"": "must be given", "x": "not a UUID", uuid.NewString(): "No workspace",
	} {
		_, err := a.AuthenticateAgent(t.Context(), text)
		var refused *auth.UnauthenticatedError
		if !errors.As(err, &refused) || !strings.Contains(refused.Detail, detail) {
			t.Errorf("AuthenticateAgent(%q) = %v, want detail %q", text, err, detail)
		}
	}
	for _, c := range []struct {
		do     store.Transition
		detail string
	}{{store.TransitionStop, "not running"}, {store.TransitionDelete, api.DetailAgentTokenDead}} {
		b := store.NewBuild{Transition: c.do, InitiatorID: u.ID, Done: &store.BuildResult{}}
		must(s.CreateBuild(t.Context(), w.ID, b))(t)
		_, err := a.AuthenticateAgent(t.Context(), token.Reveal())
		var refused *auth.UnauthenticatedError
		if !errors.As(err, &refused) || !strings.Contains(refused.Detail, c.detail) {
			t.Errorf("AuthenticateAgent after %s = %v, want detail %q", c.do, err, c.detail)
		}
	}
}
