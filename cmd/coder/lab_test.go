//go:build linux

package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	// The race detector has each process wait a second at its end, and there are
	// hundreds of them. It still reports what it has seen.
	if os.Getenv("GORACE") == "" {
		os.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	// The test binary is coder when it is called so.
	testscript.Main(m, map[string]func(){"coder": main})
}

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// The first user of a lab.
const (
	labEmail    = "admin@example.com"
	labPassword = "correct-horse-battery-staple-7"
)

// lab is a server, and agents of its workspaces, as processes of their own.
type lab struct {
	dir, url string
	address  string // of the server
	config   string // directory of the user in whose name commands run
	server   *process
}

// process is a coder that runs beside the test.
type process struct {
	cmd    *exec.Cmd
	ended  chan struct{}
	errors bytes.Buffer
}

// newLab starts a server and signs its first user in.
func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{dir: t.TempDir(), address: "127.0.0.1:0"}
	l.config = filepath.Join(l.dir, "config")
	l.startServer(t)
	out := l.coder(t, "login", l.url, "--first-user-username", "admin", "--first-user-email", labEmail, "--first-user-password", labPassword)
	if want := "Signed in to " + l.url + " as admin.\n"; out != want {
		t.Fatalf("first login prints %q, want %q", out, want)
	}
	return l
}

// startServer starts the server, again under the same address.
func (l *lab) startServer(t *testing.T) {
	t.Helper()
	args := []string{
		"server", "--http-address", l.address, "--relay-address", "127.0.0.1:0",
		"--data-dir", filepath.Join(l.dir, "data"), "--dangerous-disable-rate-limits",
	}
	var ready string
	l.server, ready = start(t, nil, args...)
	fields := strings.Fields(ready)
	l.url = fields[len(fields)-1]
	l.address = strings.TrimPrefix(l.url, "http://")
}

// start runs coder beside the test and returns its first line.
func start(t *testing.T, env []string, args ...string) (*process, string) {
	t.Helper()
	p := &process{cmd: exec.Command("coder", args...), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = &p.errors
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make(chan string, 1)
	go func() {
		defer close(p.ended)
		r := bufio.NewReader(out)
		first, _ := r.ReadString('\n')
		line <- first
		r.WriteTo(new(bytes.Buffer))
		p.cmd.Wait()
	}()
	if args[0] == "agent" {
		t.Cleanup(func() { p.stop(syscall.SIGTERM) }) // its session host ends too
		return p, ""
	}
	t.Cleanup(func() { p.stop(syscall.SIGKILL) })
	select {
	case first := <-line:
		if first == "" {
			<-p.ended
			t.Fatalf("coder %s printed nothing, and on stderr:\n%s", args, &p.errors)
		}
		return p, first
	case <-time.After(patience):
		t.Fatalf("coder %s is not ready", args)
	}
	panic("unreachable")
}

// stop sends a signal and waits for the end.
func (p *process) stop(sig syscall.Signal) {
	p.cmd.Process.Signal(sig)
	<-p.ended
}

func (l *lab) configDir() string { return l.config }

// command is coder as the signed-in user.
func (l *lab) command(args ...string) *exec.Cmd {
	cmd := exec.Command("coder", args...)
	cmd.Env = append(os.Environ(), "CODER_CONFIG_DIR="+l.configDir())
	return cmd
}

// coder runs a command that must succeed and returns its output.
func (l *lab) coder(t *testing.T, args ...string) string {
	t.Helper()
	cmd := l.command(args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("coder %s: %v\n%s", args, err, &errs)
	}
	return string(out)
}

// workspace makes a workspace and runs its agent, with more environment.
func (l *lab) workspace(t *testing.T, name string, env ...string) *process {
	t.Helper()
	l.coder(t, "create", name, "--template", "byo", "--yes")
	_, rest, _ := strings.Cut(l.coder(t, "external-workspaces", "agent-instructions", name, "-o", "json"), `"token": "`)
	token, _, _ := strings.Cut(rest, `"`)
	home := filepath.Join(l.dir, "home-"+name)
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Fatal(err)
	}
	env = append([]string{"CODER_AGENT_URL=" + l.url, "CODER_AGENT_TOKEN=" + token, "HOME=" + home, "SHELL=/bin/sh"}, env...)
	p, _ := start(t, append(env, "CODER_AGENT_LOG_DIR="+l.dir), "agent")
	if out := l.coder(t, "ssh", name, "--", "echo", "ready"); out != "ready\n" {
		t.Fatalf("ssh %s -- echo ready = %q\nagent:\n%s", name, out, &p.errors)
	}
	return p
}

// TestScripts runs the scripts side by side on one server. Commands run as its
// first user, whose workspaces and tokens some scripts count; one that makes more
// of either does it "as NAME".
func TestScripts(t *testing.T) {
	l := newLab(t)
	l.workspace(t, "blue-fox")
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			config := filepath.Join(e.WorkDir, "config")
			if err := os.CopyFS(config, os.DirFS(l.configDir())); err != nil {
				return err
			}
			e.Setenv("CODER_CONFIG_DIR", config)
			e.Setenv("SERVER", l.url)
			e.Setenv("SERVER_ADDRESS", l.address)
			e.Setenv("EMAIL", labEmail)
			e.Setenv("PASSWORD", labPassword)
			e.Setenv("PORT", freePort(t))
			return nil
		},
		Cmds:          map[string]func(*testscript.TestScript, bool, []string){"as": becomeUser},
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
	})
}

// becomeUser makes a user, as the one in whose name commands run until now, and
// has the rest of the script run as the new one.
func becomeUser(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: as NAME")
	}
	name, email := args[0], args[0]+"@example.com"
	ts.Check(ts.Exec("coder", "users", "create", "-u", name, "-e", email, "-p", labPassword))
	config := ts.MkAbs("config-" + name)
	ts.Check(ts.Exec(
		"coder", "login", ts.Getenv("SERVER"), "--global-config", config,
		"--first-user-username", name, "--first-user-email", email, "--first-user-password", labPassword,
	))
	ts.Setenv("CODER_CONFIG_DIR", config)
}
