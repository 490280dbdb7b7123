package store_test

import (
	"bufio"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/berthdev/berth/server/store"
	"github.com/berthdev/berth/server/store/storetest"
)

// holderPath makes this test binary, as another process, open the database it
// names and add users to it until it is ended. It says each name when it is in.
const holderPath = "BERTH_TEST_HOLDER_PATH"

func TestHolder(t *testing.T) {
	path := os.Getenv(holderPath)
	if path == "" {
		return // there is nothing to test in this process
	}
	s := storetest.Open(t, store.Config{SQLitePath: path})
	for i := 0; ; i++ {
		name := fmt.Sprintf("user%d", i)
		newUser(t, s, name)
		if _, err := fmt.Println(name); err != nil {
			t.Fatal(err)
		}
	}
}

// startHolder returns the process and what it says, which has begun.
func startHolder(t *testing.T, path string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	holder := exec.Command(os.Args[0], "-test.run=^TestHolder$")
	holder.Env = append(os.Environ(), holderPath+"="+path)
	lines := bufio.NewScanner(must(holder.StdoutPipe())(t))
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { killHolder(t, holder) })
	if !lines.Scan() || lines.Text() != "user0" {
		t.Fatalf("holder said %q, %v", lines.Text(), lines.Err())
	}
	return holder, lines
}

func killHolder(t *testing.T, holder *exec.Cmd) {
	if err := holder.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	holder.Wait() // says that it was killed
}

// What was acknowledged is there after kill -9 in the middle of writing.
func TestKilledServerLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "berth.db")
	holder, lines := startHolder(t, path)
	said := []string{"user0"}
	for len(said) < 200 && lines.Scan() {
		said = append(said, lines.Text())
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // what was said before the end and lies in the pipe
		said = append(said, lines.Text())
	}
	if len(said) < 200 {
		t.Fatalf("holder added %d users", len(said))
	}
	killHolder(t, holder)
	s := storetest.Open(t, store.Config{SQLitePath: path})
	for _, name := range said {
		if _, err := s.UserByUsername(t.Context(), name); err != nil {
			t.Errorf("UserByUsername(%s) = %v", name, err)
		}
	}
}

func TestSecondServerIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "berth.db")
	holder, _ := startHolder(t, path)
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

	killHolder(t, holder)
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
