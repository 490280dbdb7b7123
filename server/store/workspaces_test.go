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

// pendingBuild is a build that somebody has to do.
func pendingBuild(initiator uuid.UUID, tr store.Transition) store.NewBuild {
	return store.NewBuild{TemplateVersionID: store.BYOTemplateVersionID, Transition: tr, InitiatorID: initiator}
}

func TestCreateWorkspaceSetsEverything(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		u := newUser(t, s, "ann")
		made := newWorkspace(t, s, u, "Blue")
		for _, got := range []store.Workspace{
			made, must(s.WorkspaceByName(t.Context(), u.ID, "bLUE", false))(t), must(s.WorkspaceByID(t.Context(), made.ID))(t),
		} {
			if got.Name != "Blue" || got.Owner.Username != "ann" || got.Template.Name != "byo" || !got.Organization.IsDefault {
				t.Errorf("name, owner, template, organization = %v, %v, %v, %v", got.Name, got.Owner.Username, got.Template.Name, got.Organization)
			}
			b := got.LatestBuild
			if b.Status() != store.StatusRunning || b.Number != 1 || b.Reason != "initiator" || b.Initiator.ID != u.ID || b.Version.Name != "built-in" {
				t.Errorf("latest build = %+v", b)
			}
			if b.Job.StartedAt.IsZero() || b.Job.CompletedAt.IsZero() || b.Job.Type != store.JobBuild {
				t.Errorf("job = %+v", b.Job)
			}
			if len(b.Resources) != 1 || len(b.Resources[0].Agents) != 1 {
				t.Fatalf("resources = %+v", b.Resources)
			}
			a := b.Resources[0].Agents[0]
			if a.Name != "main" || a.Environment["A"] != `it's "1"` || a.ConnectionTimeoutSeconds != 120 || a.LifecycleState != store.LifecycleCreated {
				t.Errorf("agent = %+v", a)
			}
		}
	})
}

func TestCreateWorkspaceErrors(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		u := newUser(t, s, "ann")
		newWorkspace(t, s, u, "ws")
		newWorkspace(t, s, newUser(t, s, "bob"), "ws") // unique per owner only
		for _, c := range []struct {
			n    store.NewWorkspace
			want string
		}{
			{store.NewWorkspace{OwnerID: u.ID, TemplateID: store.BYOTemplateID, Name: "WS"}, "conflict name"},
			{store.NewWorkspace{OwnerID: u.ID, TemplateID: store.BYOTemplateID, Name: "a--b"}, "invalid name"},
		} {
			if _, err := s.CreateWorkspace(ctx, c.n, byoBuild(u.ID, store.TransitionStart)); field(err) != c.want {
				t.Errorf("CreateWorkspace(%+v) = %v, want %s", c.n, err, c.want)
			}
		}
		stray := byoBuild(u.ID, store.TransitionStart)
		stray.TemplateVersionID = uuid.New()
		for _, err := range []error{
			second(s.CreateWorkspace(ctx, store.NewWorkspace{OwnerID: uuid.New(), TemplateID: store.BYOTemplateID, Name: "a"}, byoBuild(u.ID, store.TransitionStart))),
			second(s.CreateWorkspace(ctx, store.NewWorkspace{OwnerID: u.ID, TemplateID: uuid.New(), Name: "a"}, byoBuild(u.ID, store.TransitionStart))),
			second(s.CreateWorkspace(ctx, store.NewWorkspace{OwnerID: u.ID, TemplateID: store.BYOTemplateID, Name: "a"}, stray)),
			second(s.CreateWorkspace(ctx, store.NewWorkspace{OwnerID: u.ID, TemplateID: store.BYOTemplateID, Name: "a"}, byoBuild(uuid.New(), store.TransitionStart))),
			second(s.WorkspaceByID(ctx, uuid.New())), second(s.WorkspaceByName(ctx, u.ID, "a", true)), second(s.WorkspaceByName(ctx, u.ID, "\x00'", true)),
			s.RenameWorkspace(ctx, uuid.New(), "a"), second(s.CreateBuild(ctx, uuid.New(), byoBuild(u.ID, store.TransitionStop))),
		} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("something that is not there: %v, want ErrNotFound", err)
			}
		}
	})
}

func TestDeletedWorkspace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		u := newUser(t, s, "ann")
		var old store.Workspace
		for range 2 {
			old = newWorkspace(t, s, u, "ws")
			must(s.CreateBuild(ctx, old.ID, byoBuild(u.ID, store.TransitionDelete)))(t)
		}
		if _, err := s.WorkspaceByName(ctx, u.ID, "ws", false); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("WorkspaceByName(deleted) = %v", err)
		}
		if got := must(s.WorkspaceByName(ctx, u.ID, "ws", true))(t); got.ID != old.ID || got.DeletedAt.IsZero() || got.LatestBuild.Status() != store.StatusDeleted {
			t.Errorf("newest deleted = %v deleted %v, want %v", got.ID, got.DeletedAt, old.ID)
		}
		now := newWorkspace(t, s, u, "ws")
		if got := must(s.WorkspaceByName(ctx, u.ID, "ws", true))(t); got.ID != now.ID {
			t.Errorf("WorkspaceByName(include deleted) = %v, want the one that is there", got.ID)
		}
		if err := s.RenameWorkspace(ctx, old.ID, "x"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("RenameWorkspace(deleted) = %v", err)
		}
		if _, err := s.CreateBuild(ctx, old.ID, byoBuild(u.ID, store.TransitionStart)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("CreateBuild(deleted) = %v", err)
		}
	})
}

func TestRenameAndTouchWorkspace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		u := newUser(t, s, "ann")
		w := newWorkspace(t, s, u, "one")
		newWorkspace(t, s, u, "two")
		if err := s.RenameWorkspace(ctx, w.ID, "TWO"); field(err) != "conflict name" {
			t.Errorf("RenameWorkspace(taken) = %v", err)
		}
		if err := s.RenameWorkspace(ctx, w.ID, "three"); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			after time.Duration
			want  bool
		}{{time.Second, false}, {time.Minute, true}, {90 * time.Second, false}} {
			if got := must(s.TouchWorkspace(ctx, w.ID, w.LastUsedAt.Add(c.after)))(t); got != c.want {
				t.Errorf("TouchWorkspace(after %v) = %v, want %v", c.after, got, c.want)
			}
		}
		if got := must(s.WorkspaceByName(ctx, u.ID, "three", false))(t); !got.LastUsedAt.Equal(w.LastUsedAt.Add(time.Minute)) {
			t.Errorf("last used %v, want a minute after %v", got.LastUsedAt, w.LastUsedAt)
		}
	})
}

func TestSearchWorkspaces(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		ann, bob := newUser(t, s, "ann"), newUser(t, s, "Bob")
		ids := map[string]uuid.UUID{}
		for _, name := range []string{"web", "Web2", "old"} {
			ids[name] = newWorkspace(t, s, ann, name).ID
		}
		ids["bobs"] = newWorkspace(t, s, bob, "bobs").ID
		must(s.CreateBuild(ctx, ids["web"], byoBuild(ann.ID, store.TransitionStop)))(t)
		must(s.CreateBuild(ctx, ids["old"], byoBuild(ann.ID, store.TransitionDelete)))(t)
		must(s.CreateBuild(ctx, ids["Web2"], pendingBuild(ann.ID, store.TransitionStop)))(t)

		for _, c := range []struct {
			f     store.WorkspaceFilter
			want  string
			count int
		}{
			{store.WorkspaceFilter{}, "bobs web Web2", 3},
			{store.WorkspaceFilter{Limit: 1}, "bobs", 3},
			{store.WorkspaceFilter{Limit: 2, Offset: 1}, "web Web2", 3},
			{store.WorkspaceFilter{IncludeDeleted: true}, "bobs old web Web2", 4},
			{store.WorkspaceFilter{OwnerID: ann.ID}, "web Web2", 2},
			{store.WorkspaceFilter{Owner: "BOB"}, "bobs", 1},
			{store.WorkspaceFilter{Name: "WEB"}, "web Web2", 2},
			{store.WorkspaceFilter{Name: "_"}, "", 0},
			{store.WorkspaceFilter{ExactName: "WEB"}, "web", 1},
			{store.WorkspaceFilter{Template: "BYO", Owner: "ann"}, "web Web2", 2},
			{store.WorkspaceFilter{Template: "other"}, "", 0},
			{store.WorkspaceFilter{IDs: []uuid.UUID{ids["web"], ids["bobs"]}}, "bobs web", 2},
			{store.WorkspaceFilter{IDs: []uuid.UUID{}}, "", 0},
			{store.WorkspaceFilter{OrganizationID: uuid.New()}, "", 0},
			{store.WorkspaceFilter{Status: store.StatusRunning}, "bobs", 1},
			{store.WorkspaceFilter{Status: store.StatusStopped}, "web", 1},
			{store.WorkspaceFilter{Status: store.StatusPending}, "Web2", 1},
			{store.WorkspaceFilter{Status: store.StatusDeleted}, "old", 1},
			{store.WorkspaceFilter{Status: store.StatusFailed}, "", 0},
		} {
			list, count, err := s.Workspaces(ctx, c.f)
			var names []string
			for _, w := range list {
				names = append(names, w.Name)
			}
			if got := strings.Join(names, " "); got != c.want || count != c.count || err != nil || list == nil {
				t.Errorf("Workspaces(%+v) = %q, %d, %v; want %q, %d", c.f, got, count, err, c.want, c.count)
			}
		}
		list, _, err := s.Workspaces(ctx, store.WorkspaceFilter{Owner: "bob"})
		if err != nil || len(list[0].LatestBuild.Resources[0].Agents) != 1 || list[0].Owner.Username != "Bob" {
			t.Errorf("listed workspace = %+v, %v", list, err)
		}
		if _, _, err := s.Workspaces(ctx, store.WorkspaceFilter{Status: "odd"}); field(err) != "invalid status" {
			t.Errorf("Workspaces(odd status) = %v", err)
		}
	})
}

// Of many builds asked for at once one is made; the others are refused.
func TestOneActiveBuild(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		u := newUser(t, s, "ann")
		w := newWorkspace(t, s, u, "ws")
		var made atomic.Int32
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				b, err := s.CreateBuild(ctx, w.ID, pendingBuild(u.ID, store.TransitionStop))
				if err == nil {
					made.Add(1)
					if b.Number != 2 || b.Status() != store.StatusPending {
						t.Errorf("build = number %d, %v", b.Number, b.Status())
					}
				} else if field(err) != "conflict build" {
					t.Errorf("CreateBuild: %v", err)
				}
			})
		}
		wg.Wait()
		if made.Load() != 1 {
			t.Errorf("%d of 20 builds were made, want 1", made.Load())
		}
	})
}

// TestStatusOf is the table of the reference, and that each word selects what
// it names.
func TestStatusOf(t *testing.T) {
	s := storetest.SQLite(t)
	seen := map[store.BuildStatus]bool{}
	for _, tr := range []store.Transition{store.TransitionStart, store.TransitionStop, store.TransitionDelete} {
		for _, job := range []store.JobStatus{store.JobPending, store.JobRunning, store.JobSucceeded, store.JobFailed, store.JobCanceling, store.JobCanceled} {
			status := store.StatusOf(tr, job)
			seen[status] = true
			if _, _, err := s.Workspaces(t.Context(), store.WorkspaceFilter{Status: status}); err != nil {
				t.Errorf("Workspaces(%s) = %v", status, err)
			}
		}
	}
	if got := fmt.Sprintf("%d %s %s", len(seen), store.StatusOf(store.TransitionStop, store.JobRunning), store.StatusOf(store.TransitionDelete, store.JobFailed)); got != "10 stopping failed" {
		t.Errorf("statuses: %s", got)
	}
}
