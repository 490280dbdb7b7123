package storetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// startTimeout is long because initdb is slow on a busy machine.
const startTimeout = 2 * time.Minute

// cluster is one PostgreSQL server with its own directory, reached by a unix
// socket in it.
type cluster struct {
	dir    string
	server *exec.Cmd
	log    sync.WaitGroup // the reader of the server's log
	parent sync.WaitGroup // the thread that started the server
	ended  chan struct{}  // closed when the server has ended

	mu        sync.Mutex // guards databases
	databases int
}

// The server is shared by the tests of a binary: starting one takes seconds.
var (
	startCluster = sync.OnceValues(newCluster)
	startedMu    sync.Mutex
	started      *cluster
)

// PostgresURL makes a database of its own and returns its URL. The server
// throws it away with everything else when the binary ends.
func PostgresURL(t testing.TB) string {
	t.Helper()
	c, err := startCluster()
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	u, err := c.newDatabase(t.Context())
	if err != nil {
		t.Fatalf("make PostgreSQL database: %v", err)
	}
	return u
}

func stopCluster() {
	startedMu.Lock()
	defer startedMu.Unlock()
	if started != nil {
		if err := started.stop(); err != nil {
			fmt.Fprintf(os.Stderr, "stop PostgreSQL: %v\n", err)
		}
	}
}

func newCluster() (_ *cluster, err error) {
	bin, err := findPostgres()
	if err != nil {
		return nil, err
	}
	c := &cluster{ended: make(chan struct{})}
	if c.dir, err = os.MkdirTemp("", "berth-pg-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(c.dir))
		}
	}()
	who, err := serverUser(c.dir)
	if err != nil {
		return nil, err
	}
	if err := c.initdb(bin, who); err != nil {
		return nil, err
	}
	if err := c.start(bin, who); err != nil {
		return nil, err
	}
	startedMu.Lock()
	defer startedMu.Unlock()
	started = c
	return c, nil
}

// findPostgres returns the directory of the newest installed server programs.
func findPostgres() (string, error) {
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	best, bestVersion := "", 0
	for _, dir := range dirs {
		version, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil && version > bestVersion {
			best, bestVersion = dir, version
		}
	}
	if best != "" {
		return best, nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", errors.New("no PostgreSQL server programs (initdb) found: install the package postgresql")
	}
	return filepath.Dir(path), nil
}

// serverUser returns who runs the server: us, or a user without rights when we
// are root, which PostgreSQL refuses to run as. It gives that user the dir.
func serverUser(dir string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, int(uid), int(gid))
}

func (c *cluster) initdb(bin string, who *syscall.Credential) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"),
		"-D", filepath.Join(c.dir, "data"), "-U", "berth", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	cmd.Dir, cmd.SysProcAttr = c.dir, &syscall.SysProcAttr{Credential: who}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// start runs the server and waits until it says that it is ready. The kernel
// ends it if the test binary is killed.
func (c *cluster) start(bin string, who *syscall.Credential) error {
	c.server = exec.Command(filepath.Join(bin, "postgres"),
		"-D", filepath.Join(c.dir, "data"), "-k", c.dir, "-c", "listen_addresses=",
		"-c", "deadlock_timeout=20ms", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=300", "-c", "shared_buffers=32MB")
	c.server.Dir = c.dir
	c.server.SysProcAttr = &syscall.SysProcAttr{Credential: who, Pdeathsig: syscall.SIGQUIT}
	log, err := c.server.StderrPipe()
	if err != nil {
		return err
	}
	if err := c.startFromOwnThread(); err != nil {
		return err
	}
	ready := make(chan error, 1)
	c.log.Go(func() { watchLog(log, ready) })
	select {
	case err = <-ready:
	case <-time.After(startTimeout):
		err = errors.New("PostgreSQL was not ready in time")
	}
	if err != nil {
		return errors.Join(err, c.stop())
	}
	return nil
}

// startFromOwnThread starts the server from a thread that lives as long as it:
// the kernel ends the server with the thread, and tests that enter other network
// namespaces end threads.
func (c *cluster) startFromOwnThread() error {
	started := make(chan error, 1)
	c.parent.Go(func() {
		runtime.LockOSThread()
		err := c.server.Start()
		if started <- err; err == nil {
			<-c.ended
		}
	})
	return <-started
}

// watchLog reads the server's log to its end, so that it never blocks, and
// tells once whether the server got ready.
func watchLog(log io.Reader, ready chan<- error) {
	var text strings.Builder
	isReady := false
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if isReady {
			continue
		}
		fmt.Fprintln(&text, lines.Text())
		if strings.Contains(lines.Text(), "ready to accept connections") {
			isReady = true
			ready <- nil
		}
	}
	if !isReady {
		ready <- fmt.Errorf("PostgreSQL ended:\n%s", text.String())
	}
}

// stop ends the server without waiting for its clients, and removes its files.
func (c *cluster) stop() error {
	err := c.server.Process.Signal(syscall.SIGINT)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	c.log.Wait()
	if werr := c.server.Wait(); werr != nil {
		err = errors.Join(err, werr)
	}
	close(c.ended)
	c.parent.Wait()
	return errors.Join(err, os.RemoveAll(c.dir))
}

func (c *cluster) newDatabase(ctx context.Context) (string, error) {
	c.mu.Lock()
	c.databases++
	name := fmt.Sprintf("test%d", c.databases)
	c.mu.Unlock()

	conn, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return "", err
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE "+name)
	return c.url(name), errors.Join(err, conn.Close(ctx))
}

func (c *cluster) url(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User("berth"), Path: "/" + database}
	u.RawQuery = url.Values{"host": {c.dir}}.Encode()
	return u.String()
}
