//go:build linux

package sshd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// TestMain catches SIGHUP as the agent's command does: under nohup it would be
// ignored, and by the processes of sessions too, which inherit that.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "helper" {
		if err := helper(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP)
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

// lab is a server on loopback TCP.
type lab struct {
	srv        *Server
	host, port string
	home       string
	served     chan struct{} // closed when Serve has returned
}

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

func newLab(t testing.TB, cfg Config) *lab {
	t.Helper()
	l := prepareLab(t, cfg)
	l.serve(t)
	return l
}

// prepareLab returns a server that does not serve yet.
func prepareLab(t testing.TB, cfg Config) *lab {
	t.Helper()
	key, err := HostKey("test")
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{home: t.TempDir(), served: make(chan struct{})}
	if cfg.Environ == nil {
		cfg.Environ = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + l.home}
	}
	if cfg.Shell == "" {
		cfg.Shell = program(t, "bash")
	}
	l.srv = New(key, cfg)
	return l
}

func (l *lab) serve(t testing.TB) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.host, l.port, _ = net.SplitHostPort(ln.Addr().String())
	go func() {
		defer close(l.served)
		if err := l.srv.Serve(context.Background(), ln); err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
	}()
	t.Cleanup(func() { l.close(t) })
}

func (l *lab) close(t testing.TB) {
	t.Helper()
	if err := l.srv.Close(); err != nil {
		t.Errorf("Close = %v, want nil", err)
	}
	wait(t, l.served, "Serve to return")
}

func (l *lab) dial(t testing.TB) *ssh.Client {
	t.Helper()
	client, err := ssh.Dial("tcp", net.JoinHostPort(l.host, l.port), &ssh.ClientConfig{
		User: "anybody", HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func (l *lab) session(t testing.TB) *ssh.Session {
	t.Helper()
	return newSession(t, l.dial(t))
}

func newSession(t testing.TB, client *ssh.Client) *ssh.Session {
	t.Helper()
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// clientOptions keep the OpenSSH programs off the configuration of the machine.
func clientOptions() []string {
	return []string{
		"-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "IdentityFile=none", "-o", "IdentityAgent=none", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes",
	}
}

// ssh runs the OpenSSH client against l; "ws" among args stands for the host.
func (l *lab) ssh(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	return command(t, "ssh", append(append(clientOptions(), "-p", l.port), l.names(args)...)...)
}

// names puts the address of l where args say "ws".
func (l *lab) names(args []string) []string {
	var out []string
	for _, arg := range args {
		if arg == "ws" || strings.HasPrefix(arg, "ws:") {
			arg = "any@" + l.host + strings.TrimPrefix(arg, "ws")
		}
		out = append(out, arg)
	}
	return out
}

// program finds an installed program; a test that needs a missing one fails.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("this test needs the program %s: %v", name, err)
	}
	return path
}

func command(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, program(t, name), args...)
}

// result is what a finished command left.
type result struct {
	out, err string
	code     int
}

func run(t testing.TB, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

func wait(t testing.TB, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
	}
}

// expect reads from r until it has seen want.
func expect(t testing.TB, r io.Reader, want string) string {
	t.Helper()
	var seen bytes.Buffer
	buf := make([]byte, 1024)
	for !strings.Contains(seen.String(), want) {
		n, err := r.Read(buf)
		seen.Write(buf[:n])
		if err != nil && !strings.Contains(seen.String(), want) {
			t.Fatalf("read %q and then %v, want %q", seen.String(), err, want)
		}
	}
	return seen.String()
}
