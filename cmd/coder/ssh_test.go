//go:build linux

package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// openSSH is stock OpenSSH that reaches workspaces through coder ssh --stdio.
func (l *lab) openSSH(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Fatal("OpenSSH's client is missing: install openssh-client")
	}
	options := []string{
		"-F", "none", "-o", "ProxyCommand=coder ssh --stdio --ssh-host-prefix coder. %h", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
	}
	cmd := exec.Command("ssh", append(options, args...)...)
	cmd.Env = append(os.Environ(), "CODER_CONFIG_DIR="+l.configDir())
	return cmd
}

func TestOpenSSHRunsCommands(t *testing.T) {
	l := newLab(t)
	l.workspace(t, "ws")
	var out, errs bytes.Buffer
	cmd := l.openSSH(t, "coder.ws", "--", "sh -c 'echo out; echo err >&2; exit 7'")
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 || out.String() != "out\n" || errs.String() != "err\n" {
		t.Errorf("ssh = %v, stdout %q, stderr %q, want status 7, out, err", err, &out, &errs)
	}
}

// TestBytesThroughBothClients sends 8 MiB there and gets them back, by OpenSSH
// and by our own client.
func TestBytesThroughBothClients(t *testing.T) {
	l := newLab(t)
	l.workspace(t, "ws")
	data := make([]byte, 8<<20)
	rand.Read(data)
	want := fmt.Sprintf("%x", sha256.Sum256(data))
	for name, run := range map[string]func(...string) *exec.Cmd{
		"openssh": func(c ...string) *exec.Cmd { return l.openSSH(t, append([]string{"coder.ws", "--"}, c...)...) },
		"coder":   func(c ...string) *exec.Cmd { return l.command(append([]string{"ssh", "ws", "--"}, c...)...) },
	} {
		t.Run(name, func(t *testing.T) {
			there := run("sha256sum")
			there.Stdin = bytes.NewReader(data)
			if out, err := there.Output(); err != nil || !strings.HasPrefix(string(out), want) {
				t.Errorf("sha256sum of what arrived = %.64s, %v, want %s", out, err, want)
			}
			both := run("cat")
			both.Stdin = bytes.NewReader(data)
			if out, err := both.Output(); err != nil || !bytes.Equal(out, data) {
				t.Errorf("cat gave back %d bytes of %d, or other ones: %v", len(out), len(data), err)
			}
		})
	}
}

func TestProxyEndsWithOpenSSH(t *testing.T) {
	l := newLab(t)
	l.workspace(t, "ws")
	cmd := l.command("ssh", "--stdio", "ws")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	banner := make([]byte, 8)
	if _, err := io.ReadFull(out, banner); err != nil || string(banner) != "SSH-2.0-" {
		t.Fatalf("first bytes on stdout = %q, %v, want SSH-2.0-", banner, err)
	}
	in.Close()
	ended := make(chan error, 1)
	go func() {
		io.Copy(io.Discard, out)
		ended <- cmd.Wait()
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("coder ssh --stdio after the end of stdin = %v, want success", err)
		}
	case <-time.After(patience):
		cmd.Process.Kill()
		t.Fatal("coder ssh --stdio goes on without OpenSSH")
	}
}

func TestNetworkInfoAndLogOfAProxy(t *testing.T) {
	l := newLab(t)
	l.workspace(t, "ws")
	dir := t.TempDir()
	cmd := l.command("ssh", "--stdio", "--usage-app=vscode", "--network-info-dir", dir, "--log-dir", dir, "-v", "ws")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, fmt.Sprintf("%d.json", os.Getpid()))
	var info map[string]any
	eventually(t, func() error {
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, &info)
	})
	for _, key := range []string{"p2p", "latency", "preferred_derp", "derp_latency", "upload_bytes_sec", "download_bytes_sec", "using_coder_connect"} {
		if info[key] == nil {
			t.Errorf("network information %v lacks %s", info, key)
		}
	}
	region, _ := info["preferred_derp"].(string)
	if latencies, _ := info["derp_latency"].(map[string]any); latencies[region] == nil {
		t.Errorf("network information %v lacks the latency of %q", info, region)
	}
	logs, _ := filepath.Glob(filepath.Join(dir, fmt.Sprintf("coder-ssh-*-%d.log", os.Getpid())))
	if len(logs) != 1 {
		t.Errorf("log files with our process id = %v, want one", logs)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("coder ssh --stdio = %v", err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("network information after the end: %v, want it gone", err)
	}
}

// eventually waits until try succeeds.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// shell is coder ssh on a terminal.
type shell struct {
	t    *testing.T
	tty  *os.File
	cmd  *exec.Cmd
	seen bytes.Buffer
	text chan []byte
	done chan error
}

func (l *lab) shell(t *testing.T, args ...string) *shell {
	t.Helper()
	return atTerminal(t, l.command(append([]string{"ssh"}, args...)...))
}

// atTerminal runs a command at a terminal.
func atTerminal(t *testing.T, cmd *exec.Cmd) *shell {
	t.Helper()
	s := &shell{t: t, cmd: cmd, text: make(chan []byte, 1000), done: make(chan error, 1)}
	tty, err := pty.StartWithSize(s.cmd, &pty.Winsize{Rows: 31, Cols: 91})
	if err != nil {
		t.Fatal(err)
	}
	s.tty = tty
	go func() {
		defer close(s.text)
		for {
			buf := make([]byte, 4096)
			n, err := tty.Read(buf)
			if n > 0 {
				s.text <- buf[:n]
			}
			if err != nil {
				return
			}
		}
	}()
	go func() { s.done <- s.cmd.Wait() }()
	t.Cleanup(func() {
		s.cmd.Process.Kill()
		tty.Close()
	})
	return s
}

func (s *shell) enter(keys string) {
	s.t.Helper()
	if _, err := io.WriteString(s.tty, keys); err != nil {
		s.t.Fatal(err)
	}
}

// expect waits for text that matches, and forgets what came before its end.
func (s *shell) expect(pattern string) string {
	s.t.Helper()
	re := regexp.MustCompile(pattern)
	late := time.After(patience)
	for {
		if m := re.FindIndex(s.seen.Bytes()); m != nil {
			found := string(s.seen.Bytes()[m[0]:m[1]])
			s.seen.Next(m[1])
			return found
		}
		select {
		case text, ok := <-s.text:
			if !ok {
				s.t.Fatalf("the terminal ended; want %s, got %q", pattern, &s.seen)
			}
			s.seen.Write(text)
		case <-late:
			s.t.Fatalf("want %s, got %q", pattern, &s.seen)
		}
	}
}

func (s *shell) wait() int {
	s.t.Helper()
	select {
	case err := <-s.done:
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode()
		}
		return 0
	case <-time.After(patience):
		for len(s.text) > 0 {
			s.seen.Write(<-s.text)
		}
		s.t.Fatalf("coder ssh does not end; the terminal shows %q", &s.seen)
		return -1
	}
}

// cooked reports whether the terminal is in the mode in which it was found.
func (s *shell) cooked() bool {
	mode, err := unix.IoctlGetTermios(int(s.tty.Fd()), unix.TCGETS)
	return err == nil && mode.Lflag&unix.ICANON != 0 && mode.Lflag&unix.ECHO != 0
}

func TestInteractiveShell(t *testing.T) {
	l := newLab(t)
	l.workspace(t, "ws")
	s := l.shell(t, "ws")
	s.enter("stty size; echo $TERM-$((40+2))\r")
	s.expect(`31 91`)
	s.expect(`-42`)
	if s.cooked() {
		t.Error("the terminal is in its usual mode while the shell runs, want raw")
	}
	if err := pty.Setsize(s.tty, &pty.Winsize{Rows: 40, Cols: 100}); err != nil {
		t.Fatal(err)
	}
	s.enter("until [ \"$(stty size)\" = '40 100' ]; do sleep 0.01; done; echo size-$((1+1))\r")
	s.expect(`size-2`)
	// Ctrl-C is for the workspace, not for us.
	s.enter(`sh -c 'trap "echo caught-\$((1+1)); exit" INT; echo armed-$((1+1)); while :; do sleep 0.01; done'` + "\r")
	s.expect(`armed-2`)
	s.enter("\x03")
	s.expect(`caught-2`)
	s.enter("exit 5\r")
	if got := s.wait(); got != 5 {
		t.Errorf("exit 5 ends coder ssh with %d, want 5", got)
	}
	if !s.cooked() {
		t.Error("the terminal is still raw after the end")
	}
}

func TestEscapeEndsTheShell(t *testing.T) {
	l := newLab(t)
	l.workspace(t, "ws")
	s := l.shell(t, "ws")
	s.enter("echo ready-$((1+1))\r")
	s.expect(`ready-2`)
	s.enter("~.")
	if got := s.wait(); got != exitLost {
		t.Errorf("~. ends coder ssh with %d, want %d", got, exitLost)
	}
	if !s.cooked() {
		t.Error("the terminal is still raw after ~.")
	}
}

func TestHangUpRestoresTheTerminal(t *testing.T) {
	l := newLab(t)
	l.workspace(t, "ws")
	s := l.shell(t, "ws")
	s.enter("echo ready-$((1+1))\r")
	s.expect(`ready-2`)
	s.cmd.Process.Signal(syscall.SIGTERM)
	if got := s.wait(); got != 128+int(syscall.SIGTERM) {
		t.Errorf("SIGTERM ends coder ssh with %d, want %d", got, 128+int(syscall.SIGTERM))
	}
	if !s.cooked() {
		t.Error("the terminal is still raw after SIGTERM")
	}
}

// TestShellOutlivesTheServer kills the server while a shell is open: the shell
// goes on without it, and after its restart new ones work too.
func TestShellOutlivesTheServer(t *testing.T) {
	l := newLab(t)
	l.workspace(t, "ws")
	s := l.shell(t, "ws")
	s.enter("echo ready-$((1+1))\r")
	s.expect(`ready-2`)
	// A direct path, which needs no relay: the relay is in the server.
	l.coder(t, "ping", "ws", "-n", "5", "--wait", "50ms")

	l.server.stop(syscall.SIGKILL)
	s.enter("echo alone-$((1+2))\r")
	s.expect(`alone-3`)

	l.startServer(t)
	s.enter("echo back-$((2+2))\r")
	s.expect(`back-4`)
	if out := l.coder(t, "ssh", "ws", "--", "echo", "new"); out != "new\n" {
		t.Errorf("a new session after the restart prints %q, want new", out)
	}
	s.enter("exit 0\r")
	if got := s.wait(); got != 0 {
		t.Errorf("the old shell ends with %d, want 0", got)
	}
}
