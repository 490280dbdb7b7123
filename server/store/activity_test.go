package store_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/store"
	"github.com/berthdev/berth/server/store/storetest"
)

func TestDeadlines(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		ada := newUser(t, s, "ada")
		w := newWorkspace(t, s, ada, "dev")
		deadline := func() time.Time { return must(s.WorkspaceByID(ctx, w.ID))(t).LatestBuild.Deadline }
		if d := deadline(); !d.IsZero() {
			t.Errorf("deadline without a TTL = %v, want none", d)
		}
		if ok := must(s.Extend(ctx, w.ID, time.Now().Add(time.Hour), "x"))(t); ok {
			t.Error("a workspace that never stops was extended")
		}
		if err := s.SetTTL(ctx, w.ID, time.Hour); err != nil {
			t.Fatal(err)
		}
		first := deadline()
		if left := time.Until(first); left < 59*time.Minute || left > time.Hour {
			t.Errorf("a workspace that runs has %v left after SetTTL of 1h, want that", left)
		}
		if err := s.SetTTL(ctx, w.ID, 5*time.Hour); err != nil || !deadline().Equal(first) {
			t.Errorf("SetTTL of a workspace with a deadline: %v, deadline %v, want it to stay %v", err, deadline(), first)
		}
		if ok := must(s.Extend(ctx, w.ID, first.Add(-time.Minute), "earlier"))(t); ok {
			t.Error("a deadline was moved to an earlier time")
		}
		later := first.Add(time.Hour)
		if ok := must(s.Extend(ctx, w.ID, later, "ssh"))(t); !ok || !deadline().Equal(later) {
			t.Errorf("deadline after Extend = %v, want %v", deadline(), later)
		}
		if list := must(s.Extensions(ctx, w.ID))(t); len(list) != 1 || list[0].Cause != "ssh" || !list[0].Deadline.Equal(later) {
			t.Errorf("extensions = %+v, want the one", list)
		}
		if id, at, err := s.NextDeadline(ctx, nil); err != nil || id != w.ID || !at.Equal(later) {
			t.Errorf("NextDeadline = %v, %v, %v, want that of the workspace", id, at, err)
		}
		if id, _, err := s.NextDeadline(ctx, []uuid.UUID{w.ID}); err != nil || id != uuid.Nil {
			t.Errorf("NextDeadline without the only one = %v, %v, want none", id, err)
		}
		stop := byoBuild(ada.ID, store.TransitionStop)
		stop.Due = later.Add(-time.Second)
		if _, err := s.CreateBuild(ctx, w.ID, stop); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("stop before the deadline: %v, want a refusal", err)
		}
		stop.Due = later
		must(s.CreateBuild(ctx, w.ID, stop))(t)
		if id, _, err := s.NextDeadline(ctx, nil); err != nil || id != uuid.Nil {
			t.Errorf("NextDeadline of a stopped workspace = %v, %v, want none", id, err)
		}
		must(s.CreateBuild(ctx, w.ID, byoBuild(ada.ID, store.TransitionStart)))(t)
		if left := time.Until(deadline()); left < 4*time.Hour || left > 5*time.Hour {
			t.Errorf("the next start has %v left, want the TTL of then", left)
		}
		if err := s.SetTTL(ctx, w.ID, 0); err != nil || !deadline().IsZero() {
			t.Errorf("SetTTL of 0: %v, deadline %v, want none", err, deadline())
		}
	})
}

func TestExtensionsAreBounded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorkspace(t, s, newUser(t, s, "ada"), "dev")
		if err := s.SetTTL(t.Context(), w.ID, time.Hour); err != nil {
			t.Fatal(err)
		}
		for i := range 60 {
			must(s.Extend(t.Context(), w.ID, time.Now().Add(time.Duration(i+2)*time.Hour), "ssh"))(t)
		}
		list := must(s.Extensions(t.Context(), w.ID))(t)
		if len(list) != 50 || list[0].ID != 60 || !slices.IsSortedFunc(list, func(a, b store.Extension) int { return int(b.ID - a.ID) }) {
			t.Errorf("%d extensions from %d on, want the newest 50", len(list), list[0].ID)
		}
	})
}

func TestLeases(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		ada := newUser(t, s, "ada")
		w, other := newWorkspace(t, s, ada, "dev"), newWorkspace(t, s, ada, "other")
		if err := s.SetTTL(ctx, w.ID, time.Hour); err != nil {
			t.Fatal(err)
		}
		until := time.Now().Add(3 * time.Hour)
		l := must(s.CreateLease(ctx, store.Lease{WorkspaceID: w.ID, Holder: "ada", Reason: "training", ExpiresAt: until}))(t)
		if d := must(s.WorkspaceByID(ctx, w.ID))(t).LatestBuild.Deadline; d.Sub(until).Abs() > time.Second {
			t.Errorf("deadline with a lease until %v = %v", until, d)
		}
		if list := must(s.Extensions(ctx, w.ID))(t); len(list) != 1 || list[0].Cause != "lease of ada: training" {
			t.Errorf("extensions = %+v, want that of the lease", list)
		}
		must(s.RenewLease(ctx, w.ID, l.ID, until.Add(time.Hour)))(t)
		for what, err := range map[string]error{
			"renewal of another's workspace": second(s.RenewLease(ctx, other.ID, l.ID, until)),
			"end of another's workspace":     s.EndLease(ctx, other.ID, l.ID),
			"unknown lease":                  s.EndLease(ctx, w.ID, uuid.New()),
		} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: %v, want not found", what, err)
			}
		}
		must(s.CreateBuild(ctx, w.ID, byoBuild(ada.ID, store.TransitionStop)))(t)
		must(s.CreateBuild(ctx, w.ID, byoBuild(ada.ID, store.TransitionStart)))(t)
		if left := time.Until(must(s.WorkspaceByID(ctx, w.ID))(t).LatestBuild.Deadline); left < 3*time.Hour {
			t.Errorf("a start while a lease lasts has %v left, want until its end", left)
		}
		if err := s.EndLease(ctx, w.ID, l.ID); err != nil {
			t.Fatal(err)
		}
		if list := must(s.Leases(ctx, w.ID))(t); len(list) != 0 {
			t.Errorf("leases after the end = %+v, want none", list)
		}
		var err error
		for range 101 {
			_, err = s.CreateLease(ctx, store.Lease{WorkspaceID: w.ID, Holder: "ada", ExpiresAt: until})
		}
		if conflict := (*store.ConflictError)(nil); !errors.As(err, &conflict) {
			t.Errorf("lease number 101 = %v, want a refusal", err)
		}
	})
}
