// Package storetest gives tests a real store, empty but for what Open makes:
// on an SQLite file, and on a PostgreSQL server that is started when the first
// test of a binary needs it and ended with the binary. It needs the PostgreSQL
// programs (Debian: apt-get install postgresql) and fails without them.
//
// A package that uses it has
//
//	func TestMain(m *testing.M) { storetest.Main(m) }
package storetest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/berthdev/berth/server/store"
)

// Main runs the tests of a binary, ends the PostgreSQL server if one was
// started, and exits. A goroutine that is left over is a failure.
func Main(m interface{ Run() int }) {
	code := m.Run()
	stopCluster()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintf(os.Stderr, "after the tests: %v\n", err)
		code = 1
	}
	os.Exit(code)
}

// Each runs fn as two subtests, with an empty store on either database.
func Each(t *testing.T, fn func(t *testing.T, s *store.Store)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { fn(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { fn(t, Postgres(t)) })
}

// EachConfig is Each for tests that open the database themselves.
func EachConfig(t *testing.T, fn func(t *testing.T, cfg store.Config)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { fn(t, store.Config{SQLitePath: sqlitePath(t)}) })
	t.Run("postgres", func(t *testing.T) { fn(t, store.Config{PostgresURL: PostgresURL(t)}) })
}

// SQLite opens an empty store on a file, closed at the end of the test.
func SQLite(t testing.TB) *store.Store {
	t.Helper()
	return Open(t, store.Config{SQLitePath: sqlitePath(t)})
}

// Postgres opens an empty store on a database of its own, closed at the end of
// the test.
func Postgres(t testing.TB) *store.Store {
	t.Helper()
	return Open(t, store.Config{PostgresURL: PostgresURL(t)})
}

// Open opens a store and closes it at the end of the test.
func Open(t testing.TB, cfg store.Config) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func sqlitePath(t testing.TB) string { return filepath.Join(t.TempDir(), "berth.db") }
