package store_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/store"
	"github.com/berthdev/berth/server/store/storetest"
)

// field is the field of a conflict or invalid value, or "".
func field(err error) string {
	var conflict *store.ConflictError
	var invalid *store.InvalidError
	switch {
	case errors.As(err, &conflict) && errors.Is(err, store.ErrConflict):
		return "conflict " + conflict.Field
	case errors.As(err, &invalid) && errors.Is(err, store.ErrInvalid):
		return "invalid " + invalid.Field
	}
	return ""
}

func TestFirstUserWinsOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		if some := must(s.HasUsers(t.Context()))(t); some {
			t.Error("HasUsers = true on an empty deployment")
		}
		var won atomic.Int32
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				name := fmt.Sprintf("user%d", i)
				u, err := s.CreateFirstUser(t.Context(), store.NewUser{Username: name, Email: name + "@example.com"})
				if err == nil {
					won.Add(1)
					if len(u.Roles) != 1 || u.Roles[0] != store.RoleOwner {
						t.Errorf("roles of the first user = %v", u.Roles)
					}
				} else if field(err) != "conflict first_user" {
					t.Errorf("CreateFirstUser: %v", err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d of 20 calls made the first user", won.Load())
		}
		list, count, err := s.Users(t.Context(), store.UserFilter{Role: store.RoleOwner})
		if err != nil || count != 1 || len(list) != 1 {
			t.Errorf("owners = %v, %d, %v", list, count, err)
		}
		// Not even when the first user is gone.
		must(s.CreateUser(t.Context(), store.NewUser{Username: "heir", Email: "heir@example.com", Roles: []string{store.RoleOwner}}))(t)
		if err := s.DeleteUser(t.Context(), list[0].ID); err != nil {
			t.Fatal(err)
		}
		if _, err := s.CreateFirstUser(t.Context(), store.NewUser{Username: "eve", Email: "eve@example.com"}); field(err) != "conflict first_user" {
			t.Errorf("CreateFirstUser after deletion = %v", err)
		}
		if some := must(s.HasUsers(t.Context()))(t); !some {
			t.Error("HasUsers = false after the first was deleted")
		}
	})
}

func TestCreateUserErrors(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		newUser(t, s, "ann")
		for _, c := range []struct{ username, email, name, want string }{
			{"ANN", "other@example.com", "", "conflict username"},
			{"other", "Ann@Example.com", "", "conflict email"},
			{"a_b", "other@example.com", "", "invalid username"},
			{"other", "other", "", "invalid email"},
			{"other", "X <other@example.com>", "", "invalid email"},
			{"other", "o@example.com\x00", "", "invalid email"},
			{"other", "other@example.com", "a\x00b", "invalid name"},
			{"other", "other@example.com", "a\nb", "invalid name"},
			{"other", "other@example.com", strings.Repeat("é", 129), "invalid name"},
		} {
			_, err := s.CreateUser(t.Context(), store.NewUser{Username: c.username, Email: c.email, Name: c.name})
			if field(err) != c.want {
				t.Errorf("CreateUser(%q, %q, %q) = %v, want %s", c.username, c.email, c.name, err, c.want)
			}
		}
		must(s.CreateUser(t.Context(), store.NewUser{Username: "other", Email: "o'other@example.com", Name: `D'Or "ö" \ ? %`}))(t)
	})
}

func TestUserRoundTrip(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		made := must(s.CreateUser(ctx, store.NewUser{
			Username: "Ann", Email: "Ann@example.com", Name: `D'Or "ö" \ ?`, AvatarURL: "u", LoginType: store.LoginGitHub,
			Status: store.UserDormant, Roles: []string{"auditor"}, HashedPassword: store.NewSecret("$x$"),
		}))(t)
		for _, got := range []store.User{
			must(s.UserByID(ctx, made.ID))(t), must(s.UserByUsername(ctx, "aNN"))(t), must(s.UserByEmail(ctx, "ann@EXAMPLE.com"))(t),
		} {
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", made) || got.HashedPassword.Reveal() != "$x$" {
				t.Errorf("read %+v\nmade %+v", got, made)
			}
			if got.CreatedAt.Location() != time.UTC || got.CreatedAt.Nanosecond()%1000 != 0 {
				t.Errorf("created at %v, want UTC microseconds", got.CreatedAt)
			}
		}
		for _, err := range []error{
			second(s.UserByID(ctx, uuid.New())), second(s.UserByUsername(ctx, "nobody")), second(s.UserByEmail(ctx, "")),
			second(s.UserByUsername(ctx, "\x00\xff'")), second(s.SetUserStatus(ctx, uuid.New(), store.UserActive)),
			s.SetUserPassword(ctx, uuid.New(), store.Secret{}), s.DeleteUser(ctx, uuid.New()),
		} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("unknown user: %v, want ErrNotFound", err)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestChangeUser(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		u, other := newUser(t, s, "ann"), newUser(t, s, "bob")
		if got := must(s.UpdateUserProfile(ctx, u.ID, "Anna", "Anna B"))(t); got.Username != "Anna" || got.Name != "Anna B" {
			t.Errorf("profile = %+v", got)
		}
		if _, err := s.UpdateUserProfile(ctx, u.ID, "BOB", ""); field(err) != "conflict username" {
			t.Errorf("UpdateUserProfile(taken) = %v", err)
		}
		if got := must(s.SetUserStatus(ctx, u.ID, store.UserSuspended))(t); got.Status != store.UserSuspended {
			t.Errorf("status = %v", got.Status)
		}
		if got := must(s.SetUserRoles(ctx, u.ID, []string{"auditor", "user-admin"}))(t); len(got.Roles) != 2 {
			t.Errorf("roles = %v", got.Roles)
		}
		if got := must(s.SetUserRoles(ctx, u.ID, nil))(t); got.Roles == nil || len(got.Roles) != 0 {
			t.Errorf("roles = %#v, want an empty list", got.Roles)
		}
		newKey(t, s, other, "", time.Hour)
		newKey(t, s, u, "", time.Hour)
		if err := s.SetUserPassword(ctx, u.ID, store.NewSecret("new")); err != nil {
			t.Fatal(err)
		}
		if got := must(s.UserByID(ctx, u.ID))(t); got.HashedPassword.Reveal() != "new" {
			t.Error("password was not changed")
		}
		if keys := must(s.APIKeys(ctx, store.KeyFilter{}))(t); len(keys) != 1 || keys[0].UserID != other.ID {
			t.Errorf("keys after a new password = %d, want the other user's only", len(keys))
		}
	})
}

// A new password and the use of a key take the rows of key and user in opposite
// order: neither fails for that.
func TestPasswordBesideUseOfKeys(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		u := newUser(t, s, "ann")
		var wg sync.WaitGroup
		for i := range 100 {
			id := newKey(t, s, u, "", time.Hour)
			key := must(s.APIKeyByID(ctx, id))(t)
			wg.Go(func() {
				if err := s.SetUserPassword(ctx, u.ID, store.NewSecret(fmt.Sprint(i))); err != nil {
					t.Errorf("SetUserPassword: %v", err)
				}
			})
			wg.Go(func() {
				if _, err := s.TouchAPIKey(ctx, id, store.KeyUse{At: key.CreatedAt, ExpiresAt: key.ExpiresAt}); err != nil {
					t.Errorf("TouchAPIKey: %v", err)
				}
			})
			wg.Wait()
		}
	})
}

func TestDeleteUser(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		u := newUser(t, s, "ann")
		k := newKey(t, s, u, "", time.Hour)
		w := newWorkspace(t, s, u, "ws")
		if err := s.DeleteUser(ctx, u.ID); field(err) != "conflict workspaces" {
			t.Errorf("DeleteUser with a workspace = %v", err)
		}
		must(s.UserByID(ctx, u.ID))(t) // the refusal changed nothing
		must(s.CreateBuild(ctx, w.ID, byoBuild(u.ID, store.TransitionDelete)))(t)
		if err := s.DeleteUser(ctx, u.ID); err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{second(s.UserByID(ctx, u.ID)), second(s.APIKeyByID(ctx, k)), s.DeleteUser(ctx, u.ID)} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("after DeleteUser: %v, want ErrNotFound", err)
			}
		}
		if _, err := s.CreateAPIKey(ctx, store.NewAPIKey{ID: "x", HashedSecret: []byte("x"), UserID: u.ID}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("CreateAPIKey of a deleted user = %v", err)
		}
		newUser(t, s, "ann") // the name is free again
	})
}

func TestUsersPaging(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		byName := map[string]store.User{}
		for _, name := range []string{"Cid", "ann", "bob", "dan100", "Eve"} {
			byName[name] = newUser(t, s, name)
		}
		must(s.SetUserStatus(ctx, byName["bob"].ID, store.UserSuspended))(t)
		must(s.SetUserRoles(ctx, byName["Eve"].ID, []string{"user-admin"}))(t)
		for _, c := range []struct {
			f     store.UserFilter
			want  string
			count int
		}{
			{store.UserFilter{}, "ann bob Cid dan100 Eve", 5},
			{store.UserFilter{Limit: 2}, "ann bob", 5},
			{store.UserFilter{Limit: 2, Offset: 3}, "dan100 Eve", 5},
			{store.UserFilter{Offset: 9}, "", 5},
			{store.UserFilter{After: byName["bob"].ID, Limit: 2}, "Cid dan100", 5},
			{store.UserFilter{Search: "N"}, "ann dan100", 2},
			{store.UserFilter{Search: "eve@"}, "Eve", 1},
			{store.UserFilter{Search: "%"}, "", 0},
			{store.UserFilter{Search: "_"}, "", 0},
			{store.UserFilter{Search: `\`}, "", 0},
			{store.UserFilter{Search: "'\x00"}, "", 0},
			{store.UserFilter{Status: store.UserSuspended}, "bob", 1},
			{store.UserFilter{Role: "user-admin"}, "Eve", 1},
			{store.UserFilter{Role: "user"}, "", 0},
			{store.UserFilter{Role: "member"}, "ann bob Cid dan100 Eve", 5},
		} {
			list, count, err := s.Users(ctx, c.f)
			var names []string
			for _, u := range list {
				names = append(names, u.Username)
			}
			if got := strings.Join(names, " "); got != c.want || count != c.count || err != nil || list == nil {
				t.Errorf("Users(%+v) = %q, %d, %v; want %q, %d", c.f, got, count, err, c.want, c.count)
			}
		}
	})
}
