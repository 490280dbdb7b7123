//go:build linux

package sshd

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// shellOutput is what a terminal shows whose shell ends at once.
func shellOutput(t *testing.T, l *lab) string {
	t.Helper()
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
	return out.String()
}

func TestBannersComeBeforeTheMessageOfTheDay(t *testing.T) {
	motd := filepath.Join(t.TempDir(), "motd")
	if err := os.WriteFile(motd, []byte("Welcome\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := newLab(t, Config{Shell: program(t, "true"), Login: login(Login{
		MOTD: motd, Banners: []string{" Down at\nnoon \n", "", "Second"},
	})})
	if got, want := shellOutput(t, l), "Down at\r\nnoon\r\n\r\nSecond\r\n\r\nWelcome\r\n"; got != want {
		t.Errorf("terminal shows %q, want %q", got, want)
	}
	if err := os.WriteFile(filepath.Join(l.home, ".hushlogin"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := shellOutput(t, l), "Down at\r\nnoon\r\n\r\nSecond\r\n\r\n"; got != want {
		t.Errorf("with .hushlogin the terminal shows %q, want %q", got, want)
	}
	l = newLab(t, Config{Login: login(Login{MOTD: motd, Banners: []string{"no"}})})
	if got, err := l.session(t).Output("true"); len(got) != 0 || err != nil {
		t.Errorf("a command prints %q, %v, want nothing", got, err)
	}
}

func TestLogindVariables(t *testing.T) {
	dir := t.TempDir()
	if got := logindEnv(filepath.Join(dir, "none")); got != nil {
		t.Errorf("logindEnv of no directory = %q, want nothing", got)
	}
	if got, want := logindEnv(dir), []string{"XDG_RUNTIME_DIR=" + dir}; !slices.Equal(got, want) {
		t.Errorf("logindEnv = %q, want %q", got, want)
	}
	ln, err := net.Listen("unix", filepath.Join(dir, "bus"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	want := []string{"XDG_RUNTIME_DIR=" + dir, "DBUS_SESSION_BUS_ADDRESS=unix:path=" + dir + "/bus"}
	if got := logindEnv(dir); !slices.Equal(got, want) {
		t.Errorf("logindEnv with a bus = %q, want %q", got, want)
	}
}

func TestEnvironmentFiles(t *testing.T) {
	got := parseEnvFile("# comment\nLANG=de_DE.UTF-8\n  export LC_TIME='C' # why\nQ=\"a b\"\nEMPTY=\nno value\n=x\nA B=c\nEND=1")
	want := []string{"LANG=de_DE.UTF-8", "LC_TIME=C", "Q=a b", "EMPTY=", "END=1"}
	if !slices.Equal(got, want) {
		t.Errorf("parseEnvFile = %q, want %q", got, want)
	}
}

func TestClientsLocaleReachesTheSession(t *testing.T) {
	l := newLab(t, Config{})
	got := run(t, l.ssh(t, "-o", "SetEnv=LANG=C.UTF-8 LC_TIME=POSIX", "ws", "echo $LANG $LC_TIME"))
	if want := "C.UTF-8 POSIX\n"; got.out != want {
		t.Errorf("locale = %+v, want %q", got, want)
	}
}

// TestSessionsAreOrdinaryProcesses needs the right to lower a score, which
// root has and a service whose manager raised it.
func TestSessionsAreOrdinaryProcesses(t *testing.T) {
	for _, score := range []string{"", "150", "nonsense"} {
		want := score
		if score != "150" {
			want = "0"
		}
		l := newLab(t, Config{Environ: []string{"PATH=" + os.Getenv("PATH"), "CODER_PROC_OOM_SCORE=" + score}})
		s := l.session(t)
		s.Stdin = strings.NewReader("\n")
		got, err := s.Output("read x; cat /proc/self/oom_score_adj; ps -o pgid=,sid= -p $$ | tr -s ' ' '\n' | sort -u | grep -c .; ps -o ni= -p $$")
		if fields := strings.Fields(string(got)); !slices.Equal(fields, []string{want, "1", "0"}) || err != nil {
			t.Errorf("score %q: session has score, groups, nice = %q, %v, want %s 1 0", score, fields, err, want)
		}
	}
}

func TestBlockedFileTransfers(t *testing.T) {
	l := newLab(t, Config{BlockFileTransfer: true})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	remote := "ssh " + strings.Join(clientOptions(), " ") + " -p " + l.port
	for name, args := range map[string][]string{
		"sftp": append(clientOptions(), "-b", "/dev/null", "-P", l.port, "ws"),
		"scp":  append(clientOptions(), "-O", "-P", l.port, file, "ws:x"), "rsync": {"-e", remote, file, "ws:x"},
	} {
		if got := run(t, command(t, name, l.names(args)...)); got.code == 0 {
			t.Errorf("%s = %+v, want a failure", name, got)
		}
	}
	got := run(t, command(t, "scp", l.names(append(clientOptions(), "-O", "-P", l.port, file, "ws:x"))...))
	if !strings.Contains(got.err, "blocked") {
		t.Errorf("scp says %q, want why", got.err)
	}
	for _, line := range []string{"nc -h", "/usr/bin/rsync --version", "  scp -t x", "sftp -V"} {
		got := run(t, l.ssh(t, "ws", line))
		if want := (result{blockedNotice, "", 65}); got != want {
			t.Errorf("ssh ws %q = %+v, want %+v", line, got, want)
		}
	}
	if got := run(t, l.ssh(t, "ws", "echo scp")); got.code != 0 {
		t.Errorf("ssh ws echo scp = %+v, want it to run", got)
	}
	if _, err := os.Stat(filepath.Join(l.home, "x")); !os.IsNotExist(err) {
		t.Errorf("Stat of the copy = %v, want not exist", err)
	}
}

func TestStaleSocketIsTakenOver(t *testing.T) {
	l := newLab(t, Config{})
	path := filepath.Join(l.home, "socket")
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	client := l.dial(t)
	if _, err := client.ListenUnix(path); err == nil {
		t.Error("ListenUnix on a socket in use = nil, want refused")
	}
	old.SetUnlinkOnClose(false)
	_ = old.Close()
	if _, err := client.ListenUnix(path); err != nil {
		t.Errorf("ListenUnix on a stale socket = %v, want nil", err)
	}
	file := filepath.Join(l.home, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := client.ListenUnix(file); err == nil {
		t.Error("ListenUnix on a file = nil, want refused")
	}
	if got, _ := os.ReadFile(file); string(got) != "precious" {
		t.Errorf("the file holds %q, want it untouched", got)
	}
}

func TestSocketOfAnotherIsLeftAlone(t *testing.T) {
	l := newLab(t, Config{})
	path := filepath.Join(l.home, "socket")
	first, second := l.dial(t), l.dial(t)
	old, err := first.ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	next, err := second.ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Close(); err != nil {
		t.Errorf("Close of the first listener = %v", err)
	}
	if conn, err := net.Dial("unix", path); err != nil {
		t.Errorf("Dial of the second after the end of the first = %v, want nil", err)
	} else {
		_ = conn.Close()
	}
	_ = next.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("Lstat after the end of both = %v, want not exist", err)
	}
}

func TestNoMoreSessions(t *testing.T) {
	l := newLab(t, Config{})
	client := l.dial(t)
	first := newSession(t, client)
	if ok, _, err := client.SendRequest("no-more-sessions@openssh.com", true, nil); !ok || err != nil {
		t.Fatalf("no-more-sessions = %v, %v, want true", ok, err)
	}
	if _, err := client.NewSession(); err == nil || !strings.Contains(err.Error(), "prohibited") {
		t.Errorf("NewSession = %v, want prohibited", err)
	}
	if err := first.Run("true"); err != nil {
		t.Errorf("Run in the session before = %v, want nil", err)
	}
}

func TestKeysAreExchangedAgain(t *testing.T) {
	l := prepareLab(t, Config{})
	if got := l.srv.ssh.RekeyThreshold; got != 1<<30 {
		t.Errorf("RekeyThreshold = %d, want 1 GiB", got)
	}
	l.srv.ssh.RekeyThreshold = 1 << 20
	l.serve(t)
	cmd := l.ssh(t, "-v", "ws", "head -c 8000000 /dev/zero | tee /dev/stderr | sha256sum >&2; head -c 8000000 /dev/zero")
	got := run(t, cmd)
	if len(got.out) != 8000000 || got.code != 0 {
		t.Errorf("ssh = %d bytes, code %d, want 8000000, 0", len(got.out), got.code)
	}
	// Each MiB, but what is on the way when an exchange begins still passes.
	if n := strings.Count(got.err, "SSH2_MSG_NEWKEYS received"); n < 2 {
		t.Errorf("keys were exchanged %d times in 16 MB, want it done again", n)
	}
}

// TestMalformedRequests sends requests cut short; the session goes on.
func TestMalformedRequests(t *testing.T) {
	l := newLab(t, Config{})
	client := l.dial(t)
	s := newSession(t, client)
	for _, name := range []string{
		"pty-req", "env", "window-change", "signal", "break", "x11-req", "exec", "subsystem", "nonsense@example.com",
	} {
		if ok, err := s.SendRequest(name, true, []byte{0, 0, 0}); ok || err != nil {
			t.Errorf("%s with 3 bytes = %v, %v, want false, nil", name, ok, err)
		}
	}
	for _, name := range []string{
		"tcpip-forward", "cancel-tcpip-forward", "streamlocal-forward@openssh.com", "cancel-streamlocal-forward@openssh.com", "nonsense",
	} {
		if ok, _, err := client.SendRequest(name, true, []byte{0, 0, 0}); ok || err != nil {
			t.Errorf("%s with 3 bytes = %v, %v, want false, nil", name, ok, err)
		}
	}
	for _, kind := range []string{"direct-tcpip", "direct-streamlocal@openssh.com", "x11", "nonsense"} {
		if _, _, err := client.OpenChannel(kind, []byte{0, 0, 0}); err == nil {
			t.Errorf("channel %s with 3 bytes = nil, want refused", kind)
		}
	}
	if err := s.RequestPty("xterm", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	in, err := s.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	start(t, s, "echo ready; read x")
	if ok, err := s.SendRequest("break", true, ssh.Marshal(&struct{ Length uint32 }{500})); !ok || err != nil {
		t.Errorf("break = %v, %v, want true", ok, err)
	}
	if ok, err := s.SendRequest("signal", true, ssh.Marshal(&struct{ Name string }{"SIGKILL"})); !ok || err != nil {
		t.Errorf("signal SIGKILL = %v, %v, want true", ok, err)
	}
}
