package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/store"
	"github.com/berthdev/berth/server/store/storetest"
)

func TestTemplateLimits(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		ws := newWorkspace(t, s, newUser(t, s, "ann"), "ws")
		want := store.TemplateLimits{ActivityBump: time.Hour, MaxLease: 24 * time.Hour}
		if got, err := s.LimitsOf(ctx, ws.ID); err != nil || got != want {
			t.Errorf("LimitsOf a workspace of a template that says nothing = %+v, %v, want %+v", got, err, want)
		}
		want = store.TemplateLimits{MaxLease: 90 * time.Second}
		if err := s.SetLimits(ctx, store.BYOTemplateID, want); err != nil {
			t.Fatal(err)
		}
		if got, err := s.LimitsOf(ctx, ws.ID); err != nil || got != want {
			t.Errorf("LimitsOf = %+v, %v, want what was set, %+v", got, err, want)
		}
		for _, err := range []error{only(s.LimitsOf(ctx, uuid.New())), s.SetLimits(ctx, uuid.New(), want)} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("limits of something unknown: %v, want not found", err)
			}
		}
	})
}

func only[T any](_ T, err error) error { return err }
