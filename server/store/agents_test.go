package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/store"
	"github.com/berthdev/berth/server/store/storetest"
)

func onlyAgent(t *testing.T, b *store.Build) *store.Agent {
	t.Helper()
	if len(b.Resources) != 1 || len(b.Resources[0].Agents) != 1 {
		t.Fatalf("resources of build %d = %+v, want one with one agent", b.Number, b.Resources)
	}
	return b.Resources[0].Agents[0]
}

// terraformBuild is a start whose agent is new each time.
func terraformBuild(initiator uuid.UUID, token store.Secret) store.NewBuild {
	b := byoBuild(initiator, store.TransitionStart)
	b.Done.KeepAgents = false
	b.Done.Resources[0].Agents[0].Token = token
	b.Done.Resources[0].Agents[0].External = false
	return b
}

func TestAgentByTokenHash(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		u := newUser(t, s, "ann")
		w := newWorkspace(t, s, u, "ws")
		a := onlyAgent(t, w.LatestBuild)
		token := must(s.AgentToken(ctx, a.ID))(t)
		for _, d := range []store.AgentDetail{
			must(s.AgentByTokenHash(ctx, token.Hash()))(t), must(s.AgentByID(ctx, a.ID))(t), must(s.AgentByName(ctx, w.ID, "MAIN"))(t),
		} {
			if d.Agent.ID != a.ID || d.Build.ID != w.LatestBuildID || d.Build.Job.Status != store.JobSucceeded || d.Workspace.Name != "ws" || d.Owner.Username != "ann" || !d.Live() {
				t.Errorf("detail = %+v", d)
			}
		}
		for _, err := range []error{
			second(s.AgentByTokenHash(ctx, store.NewSecret("x").Hash())), second(s.AgentByTokenHash(ctx, nil)), second(s.AgentByID(ctx, uuid.New())),
			second(s.AgentByName(ctx, w.ID, "x\x00")), second(s.AgentByName(ctx, uuid.New(), "main")), second(s.AgentToken(ctx, uuid.New())),
		} {
			if err != store.ErrNotFound {
				t.Errorf("unknown agent: %v, want ErrNotFound", err)
			}
		}
	})
}

// Security rule 3: a token is dead in the transaction that supersedes it.
func TestSupersededTokenIsDead(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		u := newUser(t, s, "ann")
		token := store.NewSecret(uuid.NewString())
		w := must(s.CreateWorkspace(ctx, store.NewWorkspace{OwnerID: u.ID, TemplateID: store.BYOTemplateID, Name: "ws"}, terraformBuild(u.ID, token)))(t)
		check := func(when string, want error) {
			t.Helper()
			_, err := s.AgentByTokenHash(ctx, token.Hash())
			if err != want {
				t.Errorf("token %s: %v, want %v", when, err, want)
			}
		}
		check("of a running workspace", nil)
		must(s.SetUserStatus(ctx, u.ID, store.UserSuspended))(t)
		check("of a suspended user", store.ErrAgentInactive)
		must(s.SetUserStatus(ctx, u.ID, store.UserActive))(t)
		check("of an active user", nil)

		b := must(s.CreateBuild(ctx, w.ID, pendingBuild(u.ID, store.TransitionStart)))(t)
		check("with a newer build pending", store.ErrAgentInactive)
		newer := terraformBuild(u.ID, store.NewSecret(uuid.NewString()))
		if err := s.CompleteBuild(ctx, b.ID, *newer.Done); err != nil {
			t.Fatal(err)
		}
		check("of the build before", store.ErrAgentDead)

		token = newer.Done.Resources[0].Agents[0].Token
		check("of the newer build", nil)
		if _, err := s.AgentToken(ctx, onlyAgent(t, must(s.WorkspaceByID(ctx, w.ID))(t).LatestBuild).ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("AgentToken(not external) = %v, want ErrNotFound", err)
		}
		must(s.CreateBuild(ctx, w.ID, byoBuild(u.ID, store.TransitionStop)))(t)
		check("of a stopped workspace", store.ErrAgentInactive)
		must(s.CreateBuild(ctx, w.ID, byoBuild(u.ID, store.TransitionDelete)))(t)
		check("of a deleted workspace", store.ErrAgentDead)
	})
}

// An agent of template byo outlives builds: the user need not paste a new
// command, and sessions, which go to the address made of the id, go on.
func TestKeptAgent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		u := newUser(t, s, "ann")
		w := newWorkspace(t, s, u, "ws")
		first := onlyAgent(t, w.LatestBuild)
		token := must(s.AgentToken(ctx, first.ID))(t)
		if err := s.AgentConnected(ctx, first.ID, time.Now(), "2.13"); err != nil {
			t.Fatal(err)
		}
		connected := must(s.AgentByID(ctx, first.ID))(t).Agent.LastConnectedAt

		must(s.CreateBuild(ctx, w.ID, byoBuild(u.ID, store.TransitionStop)))(t)
		if _, err := s.AgentByTokenHash(ctx, token.Hash()); !errors.Is(err, store.ErrAgentInactive) {
			t.Errorf("token of a stopped workspace: %v, want ErrAgentInactive", err)
		}
		again := byoBuild(u.ID, store.TransitionStart)
		again.Done.Resources[0].Agents[0].Directory = "/srv"
		b := must(s.CreateBuild(ctx, w.ID, again))(t)
		kept := onlyAgent(t, &b)
		if kept.ID != first.ID || kept.Directory != "/srv" || !kept.LastConnectedAt.Equal(connected) || !kept.CreatedAt.Equal(first.CreatedAt) {
			t.Errorf("agent after a new start = %+v\nwant %+v in /srv", kept, first)
		}
		if d, err := s.AgentByTokenHash(ctx, token.Hash()); err != nil || d.Build.ID != b.ID {
			t.Errorf("old token after a new start = build %v, %v; want %v", d.Build.ID, err, b.ID)
		}
		if got := must(s.AgentToken(ctx, first.ID))(t); got != token {
			t.Error("the token has changed")
		}

		must(s.CreateBuild(ctx, w.ID, byoBuild(u.ID, store.TransitionDelete)))(t)
		if _, err := s.AgentToken(ctx, first.ID); err != store.ErrNotFound {
			t.Errorf("AgentToken after delete: %v, want ErrNotFound", err)
		}
		if _, err := s.AgentByTokenHash(ctx, token.Hash()); err != store.ErrAgentDead {
			t.Errorf("AgentByTokenHash after delete: %v, want ErrAgentDead", err)
		}
		if d := must(s.AgentByID(ctx, first.ID))(t); d.Live() {
			t.Error("the agent of a deleted workspace is live")
		}
	})
}

// Security rule 3: no token, secret or password lies in the database as text.
func TestNoTokenInTheFile(t *testing.T) {
	dir := t.TempDir()
	s := must(store.Open(t.Context(), store.Config{SQLitePath: filepath.Join(dir, "db")}))(t)
	w := newWorkspace(t, s, newUser(t, s, "ann"), "ws")
	a := onlyAgent(t, w.LatestBuild)
	token := must(s.AgentToken(t.Context(), a.ID))(t)
	if _, err := uuid.Parse(token.Reveal()); err != nil {
		t.Fatalf("token: %v", err)
	}
	if text := fmt.Sprintf("%+v %#v %s", a, *a, a.TokenSealed); strings.Contains(text, token.Reveal()) {
		t.Error("the row formats with the token")
	}
	for pass, when := range []string{"open", "closed"} {
		if pass == 1 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		seen := false
		for _, f := range must(os.ReadDir(dir))(t) {
			data := must(os.ReadFile(filepath.Join(dir, f.Name())))(t)
			seen = seen || bytes.Contains(data, token.Hash())
			id := uuid.MustParse(token.Reveal())
			if bytes.Contains(data, []byte(token.Reveal())) || bytes.Contains(data, id[:]) {
				t.Errorf("%s: %s holds the token", when, f.Name())
			}
		}
		if !seen {
			t.Errorf("%s: the hash is nowhere: this test looks at the wrong files", when)
		}
	}
}

func TestAgentConnection(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		w := newWorkspace(t, s, newUser(t, s, "ann"), "ws")
		id := onlyAgent(t, w.LatestBuild).ID
		get := func() store.Agent { return must(s.AgentByID(ctx, id))(t).Agent }
		t1 := time.Now().Add(123 * time.Nanosecond) // finer than what is kept
		t2, t3 := t1.Add(time.Second), t1.Add(2*time.Second)
		same := func(a, b time.Time) bool { return a.Equal(b.Truncate(time.Microsecond)) }

		if err := s.AgentConnected(ctx, id, t1, "2.11"); err != nil {
			t.Fatal(err)
		}
		if err := s.AgentConnected(ctx, id, t2, "2.13"); err != nil { // a second session takes over
			t.Fatal(err)
		}
		if a := get(); !same(a.FirstConnectedAt, t1) || !same(a.LastConnectedAt, t2) || !a.DisconnectedAt.IsZero() || a.APIVersion != "2.13" {
			t.Errorf("connected twice: %+v", a.AgentState)
		}
		if wrote := must(s.AgentDisconnected(ctx, id, t1, t3))(t); wrote || !get().DisconnectedAt.IsZero() {
			t.Errorf("the end of the first session was written over the second")
		}
		if wrote := must(s.AgentDisconnected(ctx, id, t2, t3))(t); !wrote || !same(get().DisconnectedAt, t3) {
			t.Errorf("the end of the second session was not written: %v", get().DisconnectedAt)
		}
		if n := must(s.DisconnectAgents(ctx, t3))(t); n != 0 {
			t.Errorf("DisconnectAgents = %d, want 0", n)
		}
		if err := s.AgentConnected(ctx, id, t3, "2.13"); err != nil {
			t.Fatal(err)
		}
		if n := must(s.DisconnectAgents(ctx, t3))(t); n != 1 || get().DisconnectedAt.IsZero() {
			t.Errorf("DisconnectAgents = %d, want 1", n)
		}
	})
}

func TestAgentReports(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		id := onlyAgent(t, newWorkspace(t, s, newUser(t, s, "ann"), "ws").LatestBuild).ID
		t0 := time.Now()
		for i, c := range []struct {
			state          store.Lifecycle
			started, ready int // the step that set the time, -1 for none
		}{
			{store.LifecycleStarting, 0, -1},
			{store.LifecycleReady, 0, 1},
			{store.LifecycleShuttingDown, 0, 1},
			{store.LifecycleOff, 0, 1},
			{store.LifecycleStarting, 4, -1},
			{store.LifecycleStartError, 4, 5},
			{store.LifecycleStartTimeout, 4, 6},
		} {
			at := func(step int) time.Time {
				if step < 0 {
					return time.Time{}
				}
				return t0.Add(time.Duration(step) * time.Second).Truncate(time.Microsecond)
			}
			if err := s.SetAgentLifecycle(ctx, id, c.state, t0.Add(time.Duration(i)*time.Second)); err != nil {
				t.Fatal(err)
			}
			a := must(s.AgentByID(ctx, id))(t).Agent
			if a.LifecycleState != c.state || !a.StartedAt.Equal(at(c.started)) || !a.ReadyAt.Equal(at(c.ready)) {
				t.Errorf("step %d, %s: %s, started %v, ready %v", i, c.state, a.LifecycleState, a.StartedAt, a.ReadyAt)
			}
		}
		if err := s.SetAgentLifecycle(ctx, id, "odd", t0); field(err) != "invalid state" {
			t.Errorf("SetAgentLifecycle(odd) = %v", err)
		}
		up := store.AgentStartup{Version: "v1'\x00", ExpandedDirectory: `/home/a"\`, Subsystems: []string{"envbox"}}
		if err := s.SetAgentStartup(ctx, id, up); err != nil {
			t.Fatal(err)
		}
		if a := must(s.AgentByID(ctx, id))(t).Agent; a.Version != "v1'" || a.ExpandedDirectory != `/home/a"\` || len(a.Subsystems) != 1 {
			t.Errorf("startup = %+v", a.AgentState)
		}
		for _, err := range []error{
			s.AgentConnected(ctx, uuid.New(), t0, ""), s.SetAgentLifecycle(ctx, uuid.New(), store.LifecycleReady, t0), s.SetAgentStartup(ctx, uuid.New(), up),
		} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("unknown agent: %v, want ErrNotFound", err)
			}
		}
	})
}

func TestAgentErrors(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		u := newUser(t, s, "ann")
		w := newWorkspace(t, s, u, "ws")
		token := must(s.AgentToken(ctx, onlyAgent(t, w.LatestBuild).ID))(t)
		for want, change := range map[string]func(r *store.NewResource){
			"invalid name":        func(r *store.NewResource) { r.Agents[0].Name = "a b" },
			"conflict token_hash": func(r *store.NewResource) { r.Agents[0].Token = token },
			"conflict name": func(r *store.NewResource) {
				twin := r.Agents[0]
				twin.Token, twin.Name = store.NewSecret(uuid.NewString()), strings.ToUpper(twin.Name)
				r.Agents = append(r.Agents, twin)
			},
		} {
			b := terraformBuild(u.ID, store.NewSecret(uuid.NewString()))
			change(&b.Done.Resources[0])
			if _, err := s.CreateBuild(ctx, w.ID, b); field(err) != want {
				t.Errorf("CreateBuild = %v, want %s", err, want)
			}
		}
		b := terraformBuild(u.ID, store.Secret{})
		if _, err := s.CreateBuild(ctx, w.ID, b); err == nil {
			t.Error("CreateBuild without a token succeeded")
		}
		if got := must(s.WorkspaceByID(ctx, w.ID))(t); got.LatestBuildID != w.LatestBuildID {
			t.Error("a refused build left something behind")
		}
	})
}
