//go:build linux

package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"github.com/berthdev/berth/agent/script"
	"github.com/berthdev/berth/agent/sshd"
)

// Variables that make the test binary a host, or somebody who dials one.
const (
	beHost   = "BERTH_TEST_HOST"
	beDialer = "BERTH_TEST_DIALER"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(beHost); name != "" {
		os.Exit(hostMain(name))
	}
	if name := os.Getenv(beDialer); name != "" {
		os.Exit(dialerMain(name))
	}
	goleak.VerifyTestMain(m)
}

func hostMain(name string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := Run(ctx, Config{Name: name, Version: os.Getenv("VERSION")}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// dialerMain exits with 0 if a host answers it.
func dialerMain(name string) int {
	conn, err := net.Dial("unix", address(name))
	if err != nil {
		return 2
	}
	fmt.Fprint(conn, "GET /state HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if answer, err := io.ReadAll(conn); err != nil || len(answer) == 0 {
		return 1
	}
	return 0
}

var setupForTests = Setup{Workspace: "b9a7a2a5-6f9c-4f0e-9f3c-0d6c9a6f6a11", Agent: "main", Env: []string{"FROM_SETUP=yes"}}

// half is a network half that starts hosts of a version.
func half(t *testing.T, name, version string) *Client {
	t.Helper()
	c := NewClient(ClientConfig{Name: name, Version: version, Start: func(name string) error {
		env := append(os.Environ(), beHost+"="+name, "VERSION="+version)
		return Start(nil, env, filepath.Join(t.TempDir(), "host.log"))
	}})
	t.Cleanup(func() { c.Close() })
	return c
}

func attached(t *testing.T, name, version string) *Client {
	t.Helper()
	c := half(t, name, version)
	if err := c.Attach(t.Context(), setupForTests); err != nil {
		t.Fatal(err)
	}
	return c
}

// newName is that of a host that the test ends. Its shells read nobody's start files.
func newName(t *testing.T) string {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	name := Name(t.Name() + dir)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		c := NewClient(ClientConfig{Name: name})
		s, err := c.State(ctx)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return // it has ended
		}
		_, endErr := c.End(ctx, 0)
		if err := errors.Join(err, endErr); err != nil {
			t.Errorf("end of the host: %v", err)
		}
		awaitGone(t, s.PID)
	})
	return name
}

func mustState(t *testing.T, c *Client) State {
	t.Helper()
	s, err := c.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// login opens an SSH connection through the host.
func login(t *testing.T, c *Client) *ssh.Client {
	t.Helper()
	conn, err := c.Dial(t.Context(), KindSSH, netip.MustParseAddrPort("[fd7a:115c:a1e0::7]:4711"))
	if err != nil {
		t.Fatal(err)
	}
	sc, chans, reqs, err := ssh.NewClientConn(conn, "", &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		t.Fatal(err)
	}
	client := ssh.NewClient(sc, chans, reqs)
	t.Cleanup(func() { client.Close() })
	return client
}

func output(t *testing.T, client *ssh.Client, command string) string {
	t.Helper()
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Output(command)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return strings.TrimSpace(string(out))
}

func TestSessionsStayWhenTheNetworkHalfGoes(t *testing.T) {
	name := newName(t)
	first := attached(t, name, "1")
	before := mustState(t, first)
	if got, want := output(t, login(t, first), "echo $PPID $FROM_SETUP ${SSH_CLIENT% *}"), fmt.Sprint(before.PID, " yes fd7a:115c:a1e0::7 4711"); got != want {
		t.Errorf("a session says %q, want %q", got, want)
	}
	left := output(t, login(t, first), "nohup sleep 1000 >/dev/null 2>&1 & echo $!")
	first.Close()
	second := attached(t, name, "2") // newer, but the host keeps something
	if after := mustState(t, second); after.PID != before.PID || after.Version != "1" {
		t.Errorf("the next half is at host %+v, want %+v", after, before)
	}
	output(t, login(t, second), "kill "+left) // fails if it is gone; it would outlive the host
	if _, err := second.End(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, before.PID)
}

// awaitGone waits until a process has ended and was reaped.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := poll(ctx, func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
		return os.IsNotExist(err)
	}); err != nil {
		t.Errorf("host %d is still there: %v", pid, err)
	}
}

func TestIdleHostOfAnotherVersionIsReplaced(t *testing.T) {
	name := newName(t)
	first := attached(t, name, "1")
	before := mustState(t, first)
	_, last := untilPhase(t, first, script.Ready)
	if _, err := first.ScriptEvents(shortly(t), last); err == nil {
		t.Error("there are events after ready")
	}
	first.Close()
	after := mustState(t, attached(t, name, "2"))
	awaitGone(t, before.PID)
	if after.PID == before.PID || after.Version != "2" {
		t.Errorf("host = %+v, want another than %+v", after, before)
	}
}

func TestHostThatDiesIsStartedAgain(t *testing.T) {
	c := attached(t, newName(t), "1")
	before := mustState(t, c)
	if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := poll(t.Context(), func() bool {
		conn, err := dial(t.Context(), c.cfg.Name)
		if err == nil {
			conn.Close()
		}
		s, stateErr := c.State(t.Context())
		return err != nil || stateErr == nil && s.PID != before.PID
	}); err != nil {
		t.Fatal(err)
	}
	seen := uint64(before.Started.UnixMicro()) + 1 // as one who has had an event of the dead host
	if got := output(t, login(t, c), "echo $FROM_SETUP"); got != "yes" {
		t.Errorf("a session of the next host says %q, want that it has its setup", got)
	}
	events, err := c.Events(t.Context(), seen)
	if err != nil || len(events) == 0 || events[0].Event.Kind != sshd.ConnectionOpened {
		t.Errorf("events of the next host = %+v, %v; want them all", events, err)
	}
}

// TestNothingStartsAHostAfterTheEnd dials as a client does whose session ended:
// a host that it would start would keep the machine from stopping.
func TestNothingStartsAHostAfterTheEnd(t *testing.T) {
	c := attached(t, newName(t), "1")
	if _, err := c.End(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	conn, err := c.Dial(t.Context(), KindSSH, netip.MustParseAddrPort("[fd7a:115c:a1e0::7]:4711"))
	if !errors.Is(err, ErrEnded) {
		t.Errorf("Dial after the end = %v, %v; want ErrEnded", conn, err)
	}
	if err := c.Set(t.Context(), setupForTests); err != nil {
		t.Errorf("Set after the end = %v, want nil: the session with the server goes on", err)
	}
	if s, err := c.State(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("State after the end = %+v, %v; want no host", s, err)
	}
}

func TestUselessHostEnds(t *testing.T) {
	name := Name(t.Name())
	if err := Run(t.Context(), Config{Name: name, Grace: time.Millisecond}); err != nil {
		t.Errorf("Run = %v, want nil when nothing is to be kept", err)
	}
}

func TestOneHostPerName(t *testing.T) {
	c := attached(t, newName(t), "1")
	if err := Run(t.Context(), Config{Name: c.cfg.Name}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Run of a second host = %v, want that the name is taken", err)
	}
}

// TestOtherUsersAreRefused needs root: it dials as nobody.
func TestOtherUsersAreRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test runs as root: it dials the host as another user")
	}
	c := attached(t, newName(t), "1")
	dialAs := func(uid uint32) int {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), beDialer+"="+c.cfg.Name)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode()
	}
	if code := dialAs(0); code != 0 {
		t.Fatalf("the own user's dial ends with %d, want an answer", code)
	}
	if code := dialAs(65534); code != 1 {
		t.Errorf("another user's dial ends with %d, want no answer", code)
	}
}

func TestEventsAreKeptUntilTheyAreTaken(t *testing.T) {
	c := attached(t, newName(t), "1")
	output(t, login(t, c), "true")
	var got []Numbered[sshd.Event]
	for done := uint64(0); len(got) == 0 || got[len(got)-1].Event.Kind != sshd.SessionEnded; {
		events, err := c.Events(t.Context(), done)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if done > 0 && e.Number != done+1 {
				t.Fatalf("event %d follows %d", e.Number, done)
			}
			done = e.Number
		}
		got = append(got, events...)
	}
	if got[0].Event.Kind != sshd.ConnectionOpened || got[0].Event.Remote != "[fd7a:115c:a1e0::7]:4711" {
		t.Errorf("first event = %+v, want the connection with its address on the tailnet", got[0])
	}
	c.Close()
	events := newFeed[sshd.Event](time.UnixMicro(0), maxEvents)
	for range maxEvents + 3 {
		events.add(sshd.Event{})
	}
	if kept, _ := events.forget(0); len(kept) != maxEvents || kept[0].Number != 4 || events.dropped != 3 {
		t.Errorf("%d events are kept from %d on, %d dropped; want %d, 4, 3", len(kept), kept[0].Number, events.dropped, maxEvents)
	}
}

func TestConnectRefusesWhatItDoesNotKnow(t *testing.T) {
	c := attached(t, newName(t), "1")
	if _, err := c.Dial(t.Context(), "nonsense", netip.MustParseAddrPort("[::1]:1")); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("Dial of an unknown kind = %v, want 404", err)
	}
	if _, err := c.Dial(t.Context(), KindSSH, netip.AddrPort{}); err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("Dial without an address = %v, want 400", err)
	}
}

func TestOptionsReachTheServers(t *testing.T) {
	c := half(t, newName(t), "1")
	s := setupForTests
	s.Options = Options{BlockFileTransfer: true, Sessions: 1}
	s.Banners = []string{"closed on Sunday"}
	if err := c.Attach(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	client := login(t, c)
	first, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.NewSession(); err == nil {
		t.Error("a second session on the connection was not refused")
	}
	var exit *ssh.ExitError
	if err := first.Run("scp -t /tmp/x"); !errors.As(err, &exit) || exit.ExitStatus() != 65 {
		t.Errorf("scp = %v, want exit status 65", err)
	}
	shell, err := login(t, c).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer shell.Close()
	out, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(shell.RequestPty("xterm", 24, 80, ssh.TerminalModes{}), shell.Shell()); err != nil {
		t.Fatal(err)
	}
	want := s.Banners[0]
	got := make([]byte, len(want))
	if _, err := io.ReadFull(out, got); err != nil || string(got) != want {
		t.Errorf("a shell begins with %q, %v; want the announcement", got, err)
	}
}
