package store_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/berthdev/berth/server/store"
	"github.com/berthdev/berth/server/store/storetest"
)

func newOwner(t *testing.T, s *store.Store, name string) store.User {
	t.Helper()
	return must(s.CreateUser(t.Context(), store.NewUser{
		Username: name, Email: name + "@example.com", Roles: []string{"auditor", store.RoleOwner},
	}))(t)
}

// takeOwner are the ways in which a user stops being an owner.
var takeOwner = map[string]func(t *testing.T, s *store.Store, u store.User) error{
	"suspend": func(t *testing.T, s *store.Store, u store.User) error {
		return second(s.SetUserStatus(t.Context(), u.ID, store.UserSuspended))
	},
	"take the role": func(t *testing.T, s *store.Store, u store.User) error {
		return second(s.SetUserRoles(t.Context(), u.ID, []string{"auditor"}))
	},
	"delete": func(t *testing.T, s *store.Store, u store.User) error { return s.DeleteUser(t.Context(), u.ID) },
}

func TestLastOwnerStays(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		ann := newOwner(t, s, "ann")
		for what, take := range takeOwner {
			if err := take(t, s, ann); field(err) != "conflict owner" {
				t.Errorf("%s the only owner = %v, want a conflict", what, err)
			}
		}
		must(s.SetUserRoles(ctx, ann.ID, []string{store.RoleOwner}))(t)
		must(s.SetUserStatus(ctx, ann.ID, store.UserDormant))(t)

		// One who is suspended does not count, nor does one who is no owner.
		bob, cid := newOwner(t, s, "bob"), newUser(t, s, "cid")
		must(s.SetUserStatus(ctx, bob.ID, store.UserSuspended))(t)
		for what, take := range takeOwner {
			if err := take(t, s, ann); field(err) != "conflict owner" {
				t.Errorf("%s the only active owner = %v, want a conflict", what, err)
			}
		}
		must(s.SetUserStatus(ctx, cid.ID, store.UserSuspended))(t)
		if err := s.DeleteUser(ctx, bob.ID); err != nil {
			t.Errorf("DeleteUser of a suspended owner = %v", err)
		}
		if u := must(s.UserByID(ctx, ann.ID))(t); len(u.Roles) != 1 || u.Status != store.UserDormant {
			t.Errorf("the last owner = %v, %v, want it unchanged", u.Roles, u.Status)
		}
	})
}

// Of twelve owners who are all taken away at once, in one way or another, one stays.
func TestOwnersAreTakenInTurns(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		var takes []func()
		var stayed atomic.Int32
		for what, take := range takeOwner {
			for i := range 4 {
				u := newOwner(t, s, fmt.Sprintf("%c%d", what[0], i))
				takes = append(takes, func() {
					switch err := take(t, s, u); {
					case errors.Is(err, store.ErrConflict):
						stayed.Add(1)
					case err != nil:
						t.Errorf("%s: %v", what, err)
					}
				})
			}
		}
		var wg sync.WaitGroup
		for _, take := range takes {
			wg.Go(take)
		}
		wg.Wait()
		left := 0
		list, _, err := s.Users(t.Context(), store.UserFilter{Role: store.RoleOwner})
		for _, u := range list {
			if u.Status != store.UserSuspended {
				left++
			}
		}
		if err != nil || left != 1 || stayed.Load() != 1 {
			t.Errorf("%d owners are left, %d were refused, %v; want one of each", left, stayed.Load(), err)
		}
	})
}
