//go:build linux

package sshd

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// start runs command in a session and returns its output when it said ready.
func start(t *testing.T, s *ssh.Session, command string) io.Reader {
	t.Helper()
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(command); err != nil {
		t.Fatal(err)
	}
	expect(t, out, "ready")
	return out
}

func TestSignalRequestReachesTheGroup(t *testing.T) {
	s := newLab(t, Config{}).session(t)
	out := start(t, s, `trap 'echo got it; exit 9' TERM; sh -c 'trap "echo child too; exit" TERM; echo ready; sleep 9 >&- 2>&- & wait' & wait`)
	if err := s.Signal(ssh.SIGTERM); err != nil {
		t.Fatal(err)
	}
	said, _ := io.ReadAll(out)
	var exit *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 9 {
		t.Errorf("Wait = %v, want exit status 9", err)
	}
	for _, want := range []string{"got it", "child too"} {
		if !strings.Contains(string(said), want) {
			t.Errorf("output = %q, want %q in it", said, want)
		}
	}
}

func TestExitSignal(t *testing.T) {
	l := newLab(t, Config{})
	for command, want := range map[string]string{
		"kill -TERM $$": "TERM", "kill -KILL $$": "KILL", "kill -PIPE $$": "PIPE", "kill -IO $$": "SIG@openssh.com",
	} {
		var exit *ssh.ExitError
		if err := l.session(t).Run(command); !errors.As(err, &exit) || exit.Signal() != want {
			t.Errorf("Run(%q) = %v, want signal %s", command, err, want)
		}
	}
}

// TestEndOfWrite checks that a client which calls itself OpenSSH is told that
// nobody reads its input any more.
func TestEndOfWrite(t *testing.T) {
	l := newLab(t, Config{})
	client, err := ssh.Dial("tcp", l.host+":"+l.port, &ssh.ClientConfig{
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), ClientVersion: "SSH-2.0-OpenSSH_9.9",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ch, reqs, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	command := ssh.Marshal(&struct{ Command string }{"exec <&-; echo ready; sleep 100"})
	if ok, err := ch.SendRequest("exec", true, command); err != nil || !ok {
		t.Fatalf("exec = %v, %v, want true, nil", ok, err)
	}
	expect(t, ch, "ready")
	if _, err := ch.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if req := <-reqs; req == nil || req.Type != "eow@openssh.com" {
		t.Errorf("request = %+v, want eow@openssh.com", req)
	}
}

func TestTerminalHangsUp(t *testing.T) {
	l := newLab(t, Config{})
	fifo := filepath.Join(l.home, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	// Open for both, so that the process need not wait for a reader: the kernel
	// and the server both send SIGHUP, and the second would interrupt that.
	f, err := os.OpenFile(fifo, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	client := l.dial(t)
	s := newSession(t, client)
	if err := s.RequestPty("xterm", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	start(t, s, `trap 'trap "" HUP; echo hung up > fifo; exit' HUP; echo ready; sleep 100 & wait`)
	_ = client.Close()
	if err := f.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if got, err := bufio.NewReader(f).ReadString('\n'); got != "hung up\n" {
		t.Errorf("the process wrote %q, %v, want hung up", got, err)
	}
}

// TestCommandOutlivesItsConnection checks what sshd does with a command that
// has no terminal, and that Close leaves nothing of it.
func TestCommandOutlivesItsConnection(t *testing.T) {
	for _, command := range []string{
		"echo ready; exec sleep 1000", "trap '' TERM; echo ready; while :; do sleep 1000; done",
	} {
		l := newLab(t, Config{CloseGrace: patience / 100})
		client := l.dial(t)
		s := newSession(t, client)
		start(t, s, command)
		_ = client.Close()
		l.srv.mu.Lock()
		var left *process
		for left = range l.srv.processes {
		}
		l.srv.mu.Unlock()
		if left == nil {
			t.Fatalf("%s ended with its connection, want it alive", command)
		}
		l.close(t)
		if got := l.srv.Counters().ActiveProcesses; got != 0 {
			t.Errorf("%d processes of %s after Close, want 0", got, command)
		}
		if err := unix.Kill(left.cmd.Process.Pid, 0); !errors.Is(err, unix.ESRCH) {
			t.Errorf("kill(%s, 0) = %v after Close, want ESRCH", command, err)
		}
	}
}

func TestShellIsALoginShell(t *testing.T) {
	s := newLab(t, Config{}).session(t)
	s.Stdin = strings.NewReader("echo $0; shopt -q login_shell && echo login\nexit 6\n")
	var out bytes.Buffer
	s.Stdout = &out
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	var exit *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 6 {
		t.Errorf("Wait = %v, want exit status 6", err)
	}
	if got, want := out.String(), "-bash\nlogin\n"; got != want {
		t.Errorf("output = %q, want %q", got, want)
	}
}

func TestShellThatDoesNotExist(t *testing.T) {
	s := newLab(t, Config{Shell: "/no/such/shell"}).session(t)
	var out bytes.Buffer
	s.Stderr = &out
	var exit *ssh.ExitError
	if err := s.Run("true"); !errors.As(err, &exit) || exit.ExitStatus() != exitNoShell {
		t.Errorf("Run = %v, want exit status %d", err, exitNoShell)
	}
	if !strings.Contains(out.String(), "/no/such/shell") {
		t.Errorf("stderr = %q, want the shell named", out.String())
	}
}

func TestTerminalModes(t *testing.T) {
	s := newLab(t, Config{}).session(t)
	modes := ssh.TerminalModes{ssh.ECHO: 0, ssh.VINTR: 7, ssh.IUTF8: 1}
	if err := s.RequestPty("vt100", 24, 80, modes); err != nil {
		t.Fatal(err)
	}
	out, err := s.Output("stty -a; echo $TERM; test $(tty) = $SSH_TTY && echo same")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{" -echo ", "intr = ^G", " iutf8", "vt100\r\n", "same\r\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("stty -a = %q, want %q in it", out, want)
		}
	}
}

func TestMessageOfTheDay(t *testing.T) {
	dir := t.TempDir()
	motd := filepath.Join(dir, "motd")
	if err := os.WriteFile(motd, []byte("Welcome\nhere\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, hushed := range []bool{false, true} {
		l := newLab(t, Config{Shell: program(t, "true"), Login: login(Login{MOTD: motd})})
		if hushed {
			if err := os.WriteFile(filepath.Join(l.home, ".hushlogin"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := l.session(t)
		if err := s.RequestPty("xterm", 24, 80, nil); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		s.Stdout = &out
		if err := s.Shell(); err != nil {
			t.Fatal(err)
		}
		if err := s.Wait(); err != nil {
			t.Fatal(err)
		}
		want := "Welcome\r\nhere\r\n"
		if hushed {
			want = ""
		}
		if got := out.String(); got != want {
			t.Errorf("with .hushlogin %t: terminal shows %q, want %q", hushed, got, want)
		}
	}
}

func TestWorkingDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ dir, want string }{{dir, dir}, {"", ""}, {filepath.Join(dir, "missing"), ""}} {
		l := newLab(t, Config{Login: login(Login{Dir: tt.dir})})
		want := tt.want
		if want == "" {
			want = l.home
		}
		if got, err := l.session(t).Output("pwd"); string(got) != want+"\n" || err != nil {
			t.Errorf("Login.Dir %q: pwd = %q, %v, want %s", tt.dir, got, err, want)
		}
	}
}
