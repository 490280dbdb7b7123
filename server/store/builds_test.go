package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/store"
	"github.com/berthdev/berth/server/store/storetest"
)

func TestBuildLife(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		u := newUser(t, s, "ann")
		w := newWorkspace(t, s, u, "ws")
		start := func(id uuid.UUID) error { return s.StartBuild(ctx, id) }
		complete := func(id uuid.UUID) error { return s.CompleteBuild(ctx, id, store.BuildResult{State: []byte("done")}) }
		fail := func(id uuid.UUID) error { return s.FailBuild(ctx, id, "it's broken\x00", "CODE", []byte("half")) }
		cancel := func(id uuid.UUID) error { return s.CancelBuild(ctx, id) }
		type step struct {
			do   func(uuid.UUID) error
			want store.BuildStatus // "" is a refusal
		}
		number := int64(1)
		for _, c := range []struct {
			name  string
			steps []step
			state string
		}{
			{"success", []step{{start, "stopping"}, {start, ""}, {complete, "stopped"}, {complete, ""}, {fail, ""}, {cancel, ""}}, "done"},
			{"failure", []step{{start, "stopping"}, {fail, "failed"}, {start, ""}, {complete, ""}}, "half"},
			{"cancel early", []step{{cancel, "canceled"}, {start, ""}, {cancel, ""}}, "half"},
			{"cancel late", []step{{start, "stopping"}, {cancel, "canceling"}, {cancel, ""}, {fail, "canceled"}}, "half"},
			{"cancel too late", []step{{start, "stopping"}, {cancel, "canceling"}, {complete, "stopped"}}, "done"},
			{"at once", []step{{complete, "stopped"}}, "done"},
		} {
			number++
			b := must(s.CreateBuild(ctx, w.ID, pendingBuild(u.ID, store.TransitionStop)))(t)
			if b.Number != number || b.Status() != store.StatusPending || !b.Job.StartedAt.IsZero() {
				t.Fatalf("%s: new build = number %d, %s, started %v", c.name, b.Number, b.Status(), b.Job.StartedAt)
			}
			for i, st := range c.steps {
				err := st.do(b.ID)
				if st.want == "" && field(err) != "conflict status" || st.want != "" && err != nil {
					t.Errorf("%s: step %d = %v", c.name, i, err)
				}
				got := must(s.BuildByID(ctx, b.ID))(t)
				if st.want != "" && got.Status() != st.want {
					t.Errorf("%s: after step %d: %s, want %s", c.name, i, got.Status(), st.want)
				}
				if done := !got.Job.Status.Active(); done == got.Job.CompletedAt.IsZero() {
					t.Errorf("%s: after step %d: %s, completed %v", c.name, i, got.Status(), got.Job.CompletedAt)
				}
				if got.Status() == store.StatusFailed && (got.Job.Error != "it's broken" || got.Job.ErrorCode != "CODE") {
					t.Errorf("%s: error %q, code %q", c.name, got.Job.Error, got.Job.ErrorCode)
				}
			}
			if state := must(s.BuildState(ctx, b.ID))(t); string(state) != c.state {
				t.Errorf("%s: state = %q, want %q", c.name, state, c.state)
			}
		}
		for _, err := range []error{start(uuid.New()), complete(uuid.New()), fail(uuid.New()), cancel(uuid.New()), second(s.BuildByID(ctx, uuid.New())), second(s.BuildState(ctx, uuid.New())), second(s.BuildByNumber(ctx, w.ID, 99))} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("unknown build: %v, want ErrNotFound", err)
			}
		}
	})
}

func TestBuildsOfWorkspace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		u := newUser(t, s, "ann")
		w := newWorkspace(t, s, u, "ws")
		newWorkspace(t, s, u, "other")
		for range 4 {
			must(s.CreateBuild(ctx, w.ID, byoBuild(u.ID, store.TransitionStart)))(t)
		}
		all := must(s.Builds(ctx, w.ID, store.BuildFilter{}))(t)
		third := must(s.BuildByNumber(ctx, w.ID, 3))(t)
		if third.Workspace.Name != "ws" || third.Workspace.Owner.Username != "ann" {
			t.Errorf("workspace of build 3 = %+v", third.Workspace)
		}
		for _, c := range []struct {
			f    store.BuildFilter
			want string
		}{
			{store.BuildFilter{}, "[5 4 3 2 1]"},
			{store.BuildFilter{Limit: 2, Offset: 1}, "[4 3]"},
			{store.BuildFilter{After: third.ID}, "[2 1]"},
			{store.BuildFilter{Since: all[1].CreatedAt}, "[5 4]"},
			{store.BuildFilter{Since: time.Now().Add(time.Hour)}, "[]"},
		} {
			numbers := []int64{}
			for _, b := range must(s.Builds(ctx, w.ID, c.f))(t) {
				numbers = append(numbers, b.Number)
			}
			if got := fmt.Sprint(numbers); got != c.want {
				t.Errorf("Builds(%+v) = %s, want %s", c.f, got, c.want)
			}
		}
	})
}

// The state of one build is where the next one begins, and may be large.
func TestBuildState(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		u := newUser(t, s, "ann")
		w := newWorkspace(t, s, u, "ws")
		if state := must(s.BuildState(ctx, w.LatestBuildID))(t); state != nil {
			t.Errorf("state of the first build = %d bytes, want none", len(state))
		}
		big := bytes.Repeat([]byte("\x00'\\\xff?"), 2<<20)
		n := pendingBuild(u.ID, store.TransitionStop)
		n.State = big
		b := must(s.CreateBuild(ctx, w.ID, n))(t)
		if err := s.CompleteBuild(ctx, b.ID, store.BuildResult{}); err != nil {
			t.Fatal(err)
		}
		next := must(s.CreateBuild(ctx, w.ID, pendingBuild(u.ID, store.TransitionStart)))(t)
		if state := must(s.BuildState(ctx, next.ID))(t); !bytes.Equal(state, big) {
			t.Errorf("state of the next build = %d bytes, want the %d of the one before", len(state), len(big))
		}
		if err := s.SetBuildState(ctx, next.ID, []byte("x")); field(err) != "conflict build" {
			t.Errorf("SetBuildState of an active build = %v, want a conflict", err)
		}
		if state := must(s.BuildState(ctx, next.ID))(t); !bytes.Equal(state, big) {
			t.Errorf("state after a refusal = %d bytes, want %d", len(state), len(big))
		}
		if err := s.SetBuildState(ctx, b.ID, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if state := must(s.BuildState(ctx, b.ID))(t); string(state) != "x" {
			t.Errorf("state after SetBuildState = %.20q, want x", state)
		}
		if err := s.SetBuildState(ctx, uuid.New(), nil); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("SetBuildState of an unknown build = %v, want not found", err)
		}
	})
}

func TestJobLogs(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		u := newUser(t, s, "ann")
		job := newWorkspace(t, s, u, "ws").LatestBuild.JobID
		var wg sync.WaitGroup
		for w := range 5 {
			wg.Go(func() {
				for i := range 10 {
					lines := []store.JobLog{{CreatedAt: time.Now(), Output: fmt.Sprintf("%d/%d a", w, i)}, {Output: "b\x00\xff'?"}}
					if _, err := s.AppendJobLogs(ctx, job, lines); err != nil {
						t.Errorf("AppendJobLogs: %v", err)
					}
				}
			})
		}
		wg.Wait()
		lines := must(s.JobLogs(ctx, job, 0))(t)
		if len(lines) != 100 {
			t.Fatalf("%d lines, want 100", len(lines))
		}
		for i, l := range lines {
			if l.ID != int64(i+1) {
				t.Fatalf("line %d has number %d", i, l.ID)
			}
		}
		if got := lines[1].Output; got != "b\ufffd'?" {
			t.Errorf("output = %q", got)
		}
		if got := must(s.JobLogs(ctx, job, 98))(t); len(got) != 2 || got[0].ID != 99 {
			t.Errorf("lines after 98 = %v", got)
		}
		if _, err := s.AppendJobLogs(ctx, uuid.New(), nil); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("AppendJobLogs(unknown) = %v", err)
		}
	})
}

// Security rule 6: a build cannot fill the disk with its log.
func TestJobLogsOverflow(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		w := newWorkspace(t, s, newUser(t, s, "ann"), "ws")
		job := w.LatestBuild.JobID
		line := store.JobLog{Output: strings.Repeat("x", 100<<10)}
		total := 0
		for range 12 {
			total += len(must(s.AppendJobLogs(ctx, job, []store.JobLog{line}))(t))
		}
		if total != 10 {
			t.Errorf("%d lines of 100 KiB were kept, want 10", total)
		}
		if kept := must(s.AppendJobLogs(ctx, job, []store.JobLog{{Output: "small"}}))(t); len(kept) != 0 {
			t.Error("a line was kept after the overflow")
		}
		if b := must(s.BuildByID(ctx, w.LatestBuildID))(t); !b.Job.LogsOverflowed {
			t.Error("LogsOverflowed = false")
		}
	})
}
