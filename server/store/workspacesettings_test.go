package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/store"
	"github.com/berthdev/berth/server/store/storetest"
)

func TestWorkspaceSettings(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		w := newWorkspace(t, s, newUser(t, s, "ann"), "ws")
		if w.AutomaticUpdates != store.UpdateNever || w.AutostartSchedule != "" || !w.NextStartAt.IsZero() || w.Favorite {
			t.Errorf("settings of a new workspace = %+v", w)
		}
		next := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
		for _, err := range []error{
			s.SetFavorite(ctx, w.ID, true), s.SetAutomaticUpdates(ctx, w.ID, store.UpdateAlways),
			s.SetAutostart(ctx, w.ID, "CRON_TZ=UTC 30 9 * * 1-5", next),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		got := must(s.WorkspaceByID(ctx, w.ID))(t)
		if !got.Favorite || got.AutomaticUpdates != store.UpdateAlways || got.AutostartSchedule != "CRON_TZ=UTC 30 9 * * 1-5" || !got.NextStartAt.Equal(next) {
			t.Errorf("settings = %+v", got)
		}
		if err := s.SetAutostart(ctx, w.ID, "", time.Time{}); err != nil {
			t.Fatal(err)
		}
		if got := must(s.WorkspaceByID(ctx, w.ID))(t); got.AutostartSchedule != "" || !got.NextStartAt.IsZero() {
			t.Errorf("schedule after none was set = %q, %v", got.AutostartSchedule, got.NextStartAt)
		}
		for _, err := range []error{
			s.SetFavorite(ctx, uuid.New(), true), s.SetAutomaticUpdates(ctx, uuid.New(), store.UpdateAlways),
			s.SetAutostart(ctx, uuid.New(), "", time.Time{}), s.PassStart(ctx, uuid.New(), next, next),
		} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("setting of an unknown workspace: %v, want not found", err)
			}
		}
	})
}

func TestCreateWithSettings(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ann := newUser(t, s, "ann")
		next := time.Now().Add(time.Hour)
		w := must(s.CreateWorkspace(t.Context(), store.NewWorkspace{
			OwnerID: ann.ID, TemplateID: store.BYOTemplateID, Name: "ws",
			AutostartSchedule: "x", NextStartAt: next, AutomaticUpdates: store.UpdateAlways,
		}, byoBuild(ann.ID, store.TransitionStart)))(t)
		if w.AutostartSchedule != "x" || w.NextStartAt.Sub(next).Abs() > time.Millisecond || w.AutomaticUpdates != store.UpdateAlways {
			t.Errorf("made with %q, %v, %q", w.AutostartSchedule, w.NextStartAt, w.AutomaticUpdates)
		}
	})
}

func TestFavoritesComeFirst(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		ann, bob := newUser(t, s, "ann"), newUser(t, s, "bob")
		newWorkspace(t, s, ann, "a")
		z, theirs := newWorkspace(t, s, ann, "z"), newWorkspace(t, s, bob, "b")
		must(s.CreateBuild(ctx, z.ID, byoBuild(ann.ID, store.TransitionStop)))(t)
		for _, id := range []uuid.UUID{z.ID, theirs.ID} {
			if err := s.SetFavorite(ctx, id, true); err != nil {
				t.Fatal(err)
			}
		}
		for of, want := range map[uuid.UUID]string{ann.ID: "z a b", bob.ID: "b a z", uuid.Nil: "a b z"} {
			list, _, err := s.Workspaces(ctx, store.WorkspaceFilter{FavoritesOf: of})
			var names []string
			for _, w := range list {
				names = append(names, w.Name)
			}
			if got := strings.Join(names, " "); got != want || err != nil {
				t.Errorf("workspaces = %q, %v, want %q", got, err, want)
			}
		}
	})
}

func TestScheduledStarts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		ann := newUser(t, s, "ann")
		w, other := newWorkspace(t, s, ann, "ws"), newWorkspace(t, s, ann, "other")
		if id, _, err := s.NextStart(ctx, nil); id != uuid.Nil || err != nil {
			t.Errorf("NextStart without a schedule = %v, %v", id, err)
		}
		at := time.Now().UTC().Truncate(time.Microsecond)
		for id, next := range map[uuid.UUID]time.Time{w.ID: at, other.ID: at.Add(time.Hour)} {
			if err := s.SetAutostart(ctx, id, "x", next); err != nil {
				t.Fatal(err)
			}
		}
		if id, when, err := s.NextStart(ctx, nil); id != w.ID || !when.Equal(at) || err != nil {
			t.Errorf("NextStart = %v, %v, %v, want the earlier one", id, when, err)
		}
		if id, _, err := s.NextStart(ctx, []uuid.UUID{w.ID}); id != other.ID || err != nil {
			t.Errorf("NextStart without the earlier one = %v, %v", id, err)
		}
		scheduled := func(at time.Time) store.NewBuild {
			b := byoBuild(ann.ID, store.TransitionStart)
			b.Scheduled = at
			return b
		}
		refused := func(what string, at time.Time) {
			t.Helper()
			if _, err := s.CreateBuild(ctx, w.ID, scheduled(at)); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("scheduled start of a workspace %s = %v, want a refusal", what, err)
			}
		}
		refused("that runs", at)
		must(s.CreateBuild(ctx, w.ID, byoBuild(ann.ID, store.TransitionStop)))(t)
		refused("whose time is another", at.Add(time.Second))
		must(s.SetUserStatus(ctx, ann.ID, store.UserSuspended))(t)
		refused("of a suspended user", at)
		must(s.SetUserStatus(ctx, ann.ID, store.UserActive))(t)
		if b := must(s.CreateBuild(ctx, w.ID, scheduled(at)))(t); b.Status() != store.StatusRunning {
			t.Errorf("scheduled start = %v", b.Status())
		}
		if err := s.PassStart(ctx, w.ID, at, at.Add(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := s.PassStart(ctx, w.ID, at, at); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("PassStart of a time that has passed = %v, want not found", err)
		}
		if id, _, err := s.NextStart(ctx, nil); id != other.ID || err != nil {
			t.Errorf("NextStart afterwards = %v, %v", id, err)
		}
		must(s.CreateBuild(ctx, other.ID, byoBuild(ann.ID, store.TransitionDelete)))(t)
		if id, _, err := s.NextStart(ctx, nil); id != w.ID || err != nil {
			t.Errorf("NextStart with the other deleted = %v, %v", id, err)
		}
	})
}
