package store_test

import (
	"bufio"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/berthdev/berth/server/store"
	"github.com/berthdev/berth/server/store/storetest"
)

// lockHelper makes this test binary open the database it names, say so, and
// wait to be ended.
const lockHelper = "BERTH_TEST_OPEN"

func TestHoldDatabase(t *testing.T) {
	path := os.Getenv(lockHelper)
	if path == "" {
		return // runs as a process of TestSecondServerIsRefused
	}
	storetest.Open(t, store.Config{SQLitePath: path})
	fmt.Println("open")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		t.Fatal(err)
	}
}

func TestSecondServerIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "berth.db")
	holder := exec.Command(os.Args[0], "-test.run=^TestHoldDatabase$")
	holder.Env = append(os.Environ(), lockHelper+"="+path)
	stdin := must(holder.StdinPipe())(t)
	defer stdin.Close()
	stdout := must(holder.StdoutPipe())(t)
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "open\n" {
		t.Fatalf("holder said %q, %v", line, err)
	}

	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, link} {
		_, err := store.Open(t.Context(), store.Config{SQLitePath: name})
		var locked *store.LockedError
		if !errors.As(err, &locked) || locked.PID != holder.Process.Pid {
			t.Errorf("Open(%s) while process %d has it = %v", name, holder.Process.Pid, err)
		} else if want := fmt.Sprintf("(process %d)", holder.Process.Pid); !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}

	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	holder.Wait() // says that it was killed
	storetest.Open(t, store.Config{SQLitePath: path})
}

func TestOpenTwiceInOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "berth.db")
	s := storetest.Open(t, store.Config{SQLitePath: path})
	var locked *store.LockedError
	if _, err := store.Open(t.Context(), store.Config{SQLitePath: path}); !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Errorf("second Open = %v, want a *LockedError of process %d", err, os.Getpid())
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	storetest.Open(t, store.Config{SQLitePath: path})
}

func TestFilesAreOurs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "too")
	path := filepath.Join(dir, "berth.db")
	s := storetest.Open(t, store.Config{SQLitePath: path})
	newUser(t, s, "ann")
	files := must(os.ReadDir(dir))(t)
	if len(files) < 4 { // database, -wal, -shm, .lock
		t.Errorf("files = %v", files)
	}
	for _, f := range files {
		info := must(f.Info())(t)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("mode of %s = %v, want 0600", f.Name(), info.Mode())
		}
	}
	if mode := must(os.Stat(dir))(t).Mode().Perm(); mode != 0o700 {
		t.Errorf("mode of the directory = %v, want 0700", mode)
	}
}

func TestOpenErrors(t *testing.T) {
	notDB := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(notDB, []byte(strings.Repeat("this is no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cfg  store.Config
		want string
	}{
		{store.Config{}, "neither"},
		{store.Config{SQLitePath: "a", PostgresURL: "b"}, "both"},
		{store.Config{SQLitePath: t.TempDir()}, "directory"},
		{store.Config{SQLitePath: notDB}, "not a database"},
		{store.Config{PostgresURL: "postgres://u:hunter2@127.0.0.1:1/x?connect_timeout=5"}, "refused"},
		{store.Config{PostgresURL: "postgres://u:hunter2@host:notaport/x"}, "open database"},
	} {
		_, err := store.Open(t.Context(), c.cfg)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Open(%+v) = %v, want %q in it", c.cfg, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Open tells the password: %v", err)
		}
	}
}

// What was there is there after a restart, and what Open makes it makes once.
func TestReopen(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, cfg store.Config) {
		var want [3]any
		for i := range 2 {
			s := must(store.Open(t.Context(), cfg))(t)
			if i == 0 {
				newUser(t, s, "ann")
			}
			org := must(s.DefaultOrganization(t.Context()))(t)
			got := [3]any{
				org, must(s.DeploymentID(t.Context()))(t), must(s.UserByUsername(t.Context(), "ann"))(t).ID,
			}
			if i == 0 {
				want = got
			}
			if got != want {
				t.Errorf("after reopening: %v, want %v", got, want)
			}
			if list := must(s.Templates(t.Context()))(t); len(list) != 1 || list[0].ActiveVersionID != store.BYOTemplateVersionID {
				t.Errorf("templates = %+v", list)
			}
			if err := s.Ping(t.Context()); err != nil {
				t.Errorf("Ping: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
	})
}

// Servers that start at once on one PostgreSQL do not trip over each other.
func TestConcurrentOpen(t *testing.T) {
	cfg := store.Config{PostgresURL: storetest.PostgresURL(t), MaxConns: 3}
	var wg sync.WaitGroup
	ids := make([]any, 5)
	for i := range ids {
		wg.Go(func() {
			s, err := store.Open(t.Context(), cfg)
			if err != nil {
				t.Errorf("Open: %v", err)
				return
			}
			defer s.Close()
			if ids[i], err = s.DeploymentID(t.Context()); err != nil {
				t.Errorf("DeploymentID: %v", err)
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("deployment ids = %v", ids)
		}
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, cfg store.Config) {
		s := must(store.Open(t.Context(), cfg))(t)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		driver, source := "sqlite", cfg.SQLitePath
		if cfg.PostgresURL != "" {
			driver, source = "pgx", cfg.PostgresURL
		}
		db := must(sql.Open(driver, source))(t)
		must(db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)"))(t)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "newer version") {
			t.Errorf("Open = %v, want that a newer version wrote it", err)
		}
	})
}
