package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/berthdev/berth/server/store"
	"github.com/berthdev/berth/server/store/storetest"
)

// benchEach runs fn on either database, with a user, 1000 keys and 100
// workspaces in it.
func benchEach(b *testing.B, fn func(b *testing.B, s *store.Store, u store.User)) {
	for name, open := range map[string]func(testing.TB) *store.Store{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			s := open(b)
			u, err := s.CreateUser(b.Context(), store.NewUser{Username: "ann", Email: "ann@example.com"})
			for i := 0; i < 1000 && err == nil; i++ {
				_, err = s.CreateAPIKey(b.Context(), store.NewAPIKey{
					ID: fmt.Sprintf("key%d", i), HashedSecret: make([]byte, 32), UserID: u.ID, Lifetime: time.Hour,
				})
			}
			for i := 0; i < 100 && err == nil; i++ {
				n := store.NewWorkspace{OwnerID: u.ID, TemplateID: store.BYOTemplateID, Name: fmt.Sprintf("ws%d", i)}
				_, err = s.CreateWorkspace(b.Context(), n, byoBuild(u.ID, store.TransitionStart))
			}
			if err != nil {
				b.Fatal(err)
			}
			fn(b, s, u)
		})
	}
}

func BenchmarkAPIKeyByID(b *testing.B) {
	benchEach(b, func(b *testing.B, s *store.Store, _ store.User) {
		i := 0
		for b.Loop() {
			if _, err := s.APIKeyByID(b.Context(), fmt.Sprintf("key%d", i%1000)); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
}

// BenchmarkAPIKeyByIDWhileWriting reads beside one writer that never rests:
// readers must not wait for it.
func BenchmarkAPIKeyByIDWhileWriting(b *testing.B) {
	benchEach(b, func(b *testing.B, s *store.Store, u store.User) {
		ctx, cancel := context.WithCancel(b.Context())
		writes := 0
		var wg sync.WaitGroup
		wg.Go(func() {
			for ; ctx.Err() == nil; writes++ {
				if _, err := s.UpdateUserProfile(ctx, u.ID, "ann", fmt.Sprint(writes)); err != nil && ctx.Err() == nil {
					b.Errorf("write: %v", err)
					return
				}
			}
		})
		var slowest time.Duration
		for b.Loop() {
			began := time.Now()
			if _, err := s.APIKeyByID(b.Context(), "key7"); err != nil {
				b.Fatal(err)
			}
			slowest = max(slowest, time.Since(began))
		}
		cancel()
		wg.Wait()
		b.ReportMetric(float64(slowest.Microseconds()), "slowest-µs")
		b.ReportMetric(float64(writes)/b.Elapsed().Seconds(), "writes/s")
	})
}

func BenchmarkWorkspaceByName(b *testing.B) {
	benchEach(b, func(b *testing.B, s *store.Store, u store.User) {
		for b.Loop() {
			if _, err := s.WorkspaceByName(b.Context(), u.ID, "ws50", false); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkWorkspaces(b *testing.B) {
	benchEach(b, func(b *testing.B, s *store.Store, u store.User) {
		for b.Loop() {
			if list, _, err := s.Workspaces(b.Context(), store.WorkspaceFilter{OwnerID: u.ID}); err != nil || len(list) != 100 {
				b.Fatal(len(list), err)
			}
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	benchEach(b, func(b *testing.B, s *store.Store, u store.User) {
		for b.Loop() {
			if _, err := s.UpdateUserProfile(b.Context(), u.ID, "ann", "Ann"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
