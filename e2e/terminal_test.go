//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
)

// screen is a terminal of a user in which a command runs. What the command
// shows is searched as bytes; a program of the workspace that prints a word
// prints it whole.
type screen struct {
	t   *testing.T
	cmd *exec.Cmd
	tty *os.File

	mu      sync.Mutex // guards below
	shown   []byte
	changed chan struct{} // closed and replaced when more is shown
	over    bool
}

func (u *User) screen(t *testing.T, args ...string) *screen {
	t.Helper()
	s := &screen{t: t, cmd: u.Coder(context.Background(), args...), changed: make(chan struct{})}
	s.cmd.Env = append(s.cmd.Env, "TERM=xterm-256color")
	tty, err := pty.StartWithSize(s.cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	s.tty = tty
	var reading sync.WaitGroup
	reading.Go(s.read)
	t.Cleanup(func() {
		s.cmd.Process.Kill()
		tty.Close()
		reading.Wait()
	})
	return s
}

func (s *screen) read() {
	buf := make([]byte, 4096)
	for {
		n, err := s.tty.Read(buf)
		s.mu.Lock()
		s.shown = append(s.shown, buf[:n]...)
		s.over = err != nil
		close(s.changed)
		s.changed = make(chan struct{})
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *screen) typed(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.tty, text); err != nil {
		s.t.Fatalf("type %q: %v", text, err)
	}
}

// mustShow waits for a text and forgets all that was shown before it.
func (s *screen) mustShow(want string, limit time.Duration) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	for {
		s.mu.Lock()
		i := bytes.Index(s.shown, []byte(want))
		if i >= 0 {
			s.shown = s.shown[i+len(want):]
		}
		shown, changed, over := string(s.shown), s.changed, s.over
		s.mu.Unlock()
		switch {
		case i >= 0:
			return
		case over:
			s.t.Fatalf("the screen ended without %q; it showed %q", want, shown)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			s.t.Fatalf("no %q within %v; the screen shows %q", want, limit, shown)
		}
	}
}

func (s *screen) mustEnd(code int) {
	s.t.Helper()
	err := s.cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) || s.cmd.ProcessState.ExitCode() != code {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.t.Errorf("coder %s ended with %v, want exit status %d; it showed %q", strings.Join(s.cmd.Args[1:], " "), err, code, s.shown)
	}
}

// TestTerminalOutlivesViewersAndTheNetworkHalf looks at one terminal from two
// places, leaves it, crashes the agent and comes back.
func TestTerminalOutlivesViewersAndTheNetworkHalf(t *testing.T) {
	m := newQuietMachine(t)
	agent := m.server.Agent(m.host, "ws")
	first := m.user.screen(t, "terminal", "attach", "ws", "--", "PS1='ready> ' sh")
	first.mustShow("ready> ", patience)
	first.typed("echo $((40+2)); x=kept\r")
	first.mustShow("42", patience)

	second := m.user.screen(t, "terminal", "attach", "ws")
	second.mustShow("42", patience) // of the snapshot
	second.typed("echo second-$x\r")
	second.mustShow("second-kept", patience)
	first.mustShow("second-kept", patience)

	list := m.terminals(t)
	if len(list) != 1 || list[0].Viewers != 2 {
		t.Fatalf("terminals = %+v, want one with two viewers", list)
	}
	second.typed("~.") // at the start of a line
	second.mustShow("Come back", patience)
	second.mustEnd(0)

	for range 5 {
		agent = restart(t, agent)
		first.typed("echo $((100+1))-$x\r")
		first.mustShow("101-kept", afterCrash)
	}
	first.typed("~.")
	first.mustEnd(0)
	third := m.user.screen(t, "terminal", "attach", "ws", list[0].ID[:6])
	third.mustShow("101-kept", patience)
	third.typed("exit\r")
	third.mustEnd(0)
	if list := m.terminals(t); len(list) != 0 {
		t.Errorf("terminals after the shell's end = %+v, want none", list)
	}
}

func TestTerminalIsKilled(t *testing.T) {
	m := newQuietMachine(t)
	m.server.Agent(m.host, "ws")
	if got := m.user.Run(within(t, patience), "terminal", "list", "ws"); got.Code != 0 || got.Stdout != "" || !strings.Contains(got.Stderr, "No terminals") {
		t.Errorf("terminal list of none = %+v", got)
	}
	viewer := m.user.screen(t, "terminal", "attach", "ws", "--new", "--", "echo pid-$$; exec sleep 1000")
	viewer.mustShow("pid-", patience)
	list := m.terminals(t)
	if len(list) != 1 {
		t.Fatalf("terminals = %+v, want one", list)
	}
	m.user.MustRun("terminal", "kill", "ws", list[0].ID[:8])
	viewer.mustEnd(0)
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", list[0].PID)); !os.IsNotExist(err) {
		t.Errorf("process %d of the killed terminal is still there: %v", list[0].PID, err)
	}
	got := m.user.Run(within(t, patience), "terminal", "kill", "ws", "nosuch")
	want := Result{Stderr: "error: terminal \"nosuch\" not found\nhint: coder terminal list ws\n", Code: 1}
	if got != want {
		t.Errorf("terminal kill of an unknown id = %+v, want %+v", got, want)
	}
}

type terminalInfo struct {
	ID      string
	Viewers int
	PID     int
}

func (m *machine) terminals(t *testing.T) []terminalInfo {
	t.Helper()
	var list []terminalInfo
	out := m.user.MustRun("terminal", "list", "ws", "-o", "json")
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("terminal list printed %q: %v", out, err)
	}
	return list
}
