package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/store"
	"github.com/berthdev/berth/server/store/storetest"
)

func newKey(t *testing.T, s *store.Store, u store.User, name string, lifetime time.Duration) (id string) {
	t.Helper()
	id = uuid.NewString()[:10]
	n := store.NewAPIKey{ID: id, HashedSecret: []byte{0, 1, 0xff}, UserID: u.ID, LoginType: store.LoginPassword, TokenName: name, Lifetime: lifetime}
	if name != "" {
		n.LoginType = store.LoginToken
	}
	must(s.CreateAPIKey(t.Context(), n))(t)
	return id
}

func TestAPIKeyRoundTrip(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		u := newUser(t, s, "ann")
		id := newKey(t, s, u, "ci", time.Hour)
		for _, k := range []store.APIKey{must(s.APIKeyByID(ctx, id))(t), must(s.APIKeyByName(ctx, u.ID, "ci"))(t)} {
			if k.ID != id || !bytes.Equal(k.HashedSecret, []byte{0, 1, 0xff}) || k.Scope != store.ScopeAll || k.User.Username != "ann" {
				t.Errorf("key = %+v of %+v", k, k.User)
			}
			if !k.ExpiresAt.Equal(k.CreatedAt.Add(time.Hour)) || k.Lifetime() != time.Hour || !k.LastUsed.IsZero() {
				t.Errorf("expires %v, created %v, lifetime %v, last used %v", k.ExpiresAt, k.CreatedAt, k.Lifetime(), k.LastUsed)
			}
		}
		newKey(t, s, newUser(t, s, "bob"), "ci", time.Hour) // unique per user only
		for _, c := range []struct {
			n    store.NewAPIKey
			want string
		}{
			{store.NewAPIKey{ID: "x", UserID: u.ID, TokenName: "ci"}, "conflict token_name"},
			{store.NewAPIKey{ID: id, UserID: u.ID}, "conflict id"},
			{store.NewAPIKey{ID: "x", UserID: u.ID, TokenName: "a/b"}, "invalid token_name"},
			{store.NewAPIKey{ID: "x", UserID: u.ID, TokenName: "a\x00"}, "invalid token_name"},
		} {
			c.n.HashedSecret = []byte("x")
			if _, err := s.CreateAPIKey(ctx, c.n); field(err) != c.want {
				t.Errorf("CreateAPIKey(%+v) = %v, want %s", c.n, err, c.want)
			}
		}
		for _, err := range []error{
			second(s.APIKeyByID(ctx, "nothing")), second(s.APIKeyByID(ctx, "\x00'")), second(s.APIKeyByName(ctx, u.ID, "")), s.DeleteAPIKey(ctx, "nothing"),
		} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("unknown key: %v, want ErrNotFound", err)
			}
		}
	})
}

func TestTouchAPIKeyHourly(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		u := must(s.CreateUser(ctx, store.NewUser{Username: "ann", Email: "a@example.com", Status: store.UserDormant}))(t)
		id := newKey(t, s, u, "", 24*time.Hour)
		key := must(s.APIKeyByID(ctx, id))(t)
		start := key.CreatedAt
		for _, c := range []struct {
			after  time.Duration
			extend time.Duration
			want   bool
		}{
			{0, 0, true},
			{time.Minute, 0, false},
			{59 * time.Minute, 0, false},
			{59 * time.Minute, time.Hour, true},
			{59 * time.Minute, time.Hour, false},
			{118 * time.Minute, time.Hour, false},
			{119 * time.Minute, time.Hour, true},
		} {
			use := store.KeyUse{At: start.Add(c.after), IPAddress: "::1", ExpiresAt: start.Add(24*time.Hour + c.extend)}
			row := must(s.APIKeyByID(ctx, id))(t)
			if got := row.Due(use); got != c.want {
				t.Errorf("Due(after %v, +%v) = %v, want %v", c.after, c.extend, got, c.want)
			}
			if got := must(s.TouchAPIKey(ctx, id, use))(t); got != c.want {
				t.Errorf("TouchAPIKey(after %v, +%v) = %v, want %v", c.after, c.extend, got, c.want)
			}
		}
		got := must(s.APIKeyByID(ctx, id))(t)
		if want := start.Add(119 * time.Minute); !got.LastUsed.Equal(want) || !got.User.LastSeenAt.Equal(want) || got.IPAddress != "::1" {
			t.Errorf("last used %v, seen %v, from %q; want %v", got.LastUsed, got.User.LastSeenAt, got.IPAddress, want)
		}
		if got.User.Status != store.UserActive || !got.ExpiresAt.Equal(start.Add(25*time.Hour)) {
			t.Errorf("status %v, expires %v", got.User.Status, got.ExpiresAt)
		}
		if wrote, err := s.TouchAPIKey(ctx, "nothing", store.KeyUse{At: start, ExpiresAt: start}); wrote || err != nil {
			t.Errorf("TouchAPIKey(unknown) = %v, %v", wrote, err)
		}
	})
}

// A crowd of requests that all read the same old row write once.
func TestTouchAPIKeyCrowd(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		id := newKey(t, s, newUser(t, s, "ann"), "", time.Hour)
		key := must(s.APIKeyByID(t.Context(), id))(t)
		var wrote atomic.Int32
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				w, err := s.TouchAPIKey(t.Context(), id, store.KeyUse{At: key.CreatedAt, ExpiresAt: key.ExpiresAt})
				if err != nil {
					t.Errorf("TouchAPIKey: %v", err)
				}
				if w {
					wrote.Add(1)
				}
			})
		}
		wg.Wait()
		if wrote.Load() != 1 {
			t.Errorf("%d of 20 uses were written, want 1", wrote.Load())
		}
	})
}

func TestDeleteAPIKeys(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		ann, bob := newUser(t, s, "ann"), newUser(t, s, "bob")
		session, named := newKey(t, s, ann, "", time.Hour), newKey(t, s, ann, "ci", time.Hour)
		bobs := newKey(t, s, bob, "", time.Hour)
		expired := newKey(t, s, bob, "", -time.Hour)
		must(s.CreateAPIKey(ctx, store.NewAPIKey{ID: "app", HashedSecret: []byte("x"), UserID: ann.ID, Scope: store.ScopeApplicationConnect, Lifetime: time.Hour}))(t)

		ids := func(f store.KeyFilter) string {
			out := map[string]bool{}
			for _, k := range must(s.APIKeys(ctx, f))(t) {
				out[k.ID] = true
			}
			return fmt.Sprint(out)
		}
		set := func(ids ...string) string {
			out := map[string]bool{}
			for _, id := range ids {
				out[id] = true
			}
			return fmt.Sprint(out)
		}
		if got, want := ids(store.KeyFilter{}), set(session, named, bobs, "app"); got != want {
			t.Errorf("all keys = %v, want %v", got, want)
		}
		if got, want := ids(store.KeyFilter{UserID: ann.ID, LoginType: store.LoginToken}), set(named); got != want {
			t.Errorf("tokens of ann = %v, want %v", got, want)
		}
		if err := s.LogOut(ctx, session); err != nil {
			t.Fatal(err)
		}
		if got, want := ids(store.KeyFilter{}), set(named, bobs); got != want {
			t.Errorf("after logout: %v, want %v", got, want)
		}
		must(s.APIKeyByID(ctx, expired))(t)
		if n := must(s.DeleteExpiredAPIKeys(ctx, time.Now()))(t); n != 1 {
			t.Errorf("DeleteExpiredAPIKeys = %d, want 1", n)
		}
		if err := s.DeleteAPIKey(ctx, named); err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteAPIKeys(ctx, bob.ID); err != nil {
			t.Fatal(err)
		}
		if got := ids(store.KeyFilter{}); got != set() {
			t.Errorf("at the end: %v", got)
		}
	})
}
