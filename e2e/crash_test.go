//go:build linux

package e2e

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/berthdev/berth/tailnet/netlab"
)

// crashes is how often the network half of the agent is killed in one test.
const crashes = 100

// afterCrash is how long a session may be silent after a new network half has
// said that it is connected.
const afterCrash = 2 * time.Second

// TestSessionsOutliveTheNetworkHalf kills the agent, but not its session host,
// again and again, while a shell echoes numbers, a command that prints on its
// own runs over OpenSSH, an editor is open on a terminal and a build runs.
func TestSessionsOutliveTheNetworkHalf(t *testing.T) {
	m := newQuietMachine(t)
	agent := m.server.Agent(m.host, "ws")
	shell := m.user.Shell("ws")
	counting := startCounting(t, m)
	vim := startVim(t, m)
	build := m.user.MustRun("ssh", "ws", "--", "nohup sh -c 'while :; do date >> build.log; sleep 0.1; done' >/dev/null 2>&1 & echo $!")

	var slowest time.Duration
	for range crashes {
		vim.insert("x")
		agent = restart(t, agent)
		slowest = max(slowest, shell.MustAwait(afterCrash))
	}
	t.Logf("after a crash the shell answers within %v", slowest)

	counting.mustEnd(t, m)
	vim.mustHaveWritten(strings.Repeat("x", crashes))
	if got := m.user.Run(within(t, 20*time.Second), "ssh", "ws", "--", "kill "+build); got.Code != 0 {
		t.Errorf("end of the build = %+v, want it alive until now", got)
	}
}

// TestSessionsBeginThroughACrash kills the network half while sessions begin.
func TestSessionsBeginThroughACrash(t *testing.T) {
	m := newQuietMachine(t)
	agent := m.server.Agent(m.host, "ws")
	for i := range 10 {
		began := make(chan Result, 1)
		go func() { began <- m.user.Run(within(t, patience), "ssh", "ws", "--", "echo begun") }()
		passes(t, time.Duration(i)*15*time.Millisecond) // another step of the beginning each time
		agent = restart(t, agent)
		if got := <-began; got.Code != 0 || got.Stdout != "begun\n" {
			t.Errorf("coder ssh, whose agent crashed after %d ms = %+v, want it to work", i*15, got)
		}
	}
}

// restart kills an agent's network half as a crash does, and starts the next.
func restart(t *testing.T, agent *netlab.Proc) *netlab.Proc {
	t.Helper()
	agent.Kill9()
	agent.Restart()
	if _, err := agent.WaitLine(within(t, 20*time.Second), "connected to the server"); err != nil {
		t.Fatal(err)
	}
	return agent
}

// counting is a command that prints numbers until a file is there.
type counting struct {
	cmd  *exec.Cmd
	out  *os.File
	stop string
}

func startCounting(t *testing.T, m *machine) *counting {
	t.Helper()
	out, err := os.CreateTemp(t.TempDir(), "counted")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	c := &counting{out: out, stop: filepath.Join(m.Dir("counting"), "stop")}
	c.cmd = m.user.SSH(context.Background(), "ws",
		"i=0; while [ ! -e "+c.stop+" ]; do i=$((i+1)); echo $i; sleep 0.005; done; exit 7")
	c.cmd.Stdout = out
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// mustEnd stops the command and checks every number.
func (c *counting) mustEnd(t *testing.T, m *machine) {
	t.Helper()
	if err := os.WriteFile(c.stop, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Wait(); err == nil || c.cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("end of the command over OpenSSH: %v, want exit status 7", err)
	}
	all, err := os.ReadFile(c.out.Name())
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(all))
	for i, line := range lines {
		if line != strconv.Itoa(i+1) {
			t.Fatalf("line %d of the command is %q", i+1, line)
		}
	}
	t.Logf("the command printed %d lines", len(lines))
}

// vim is an editor on a terminal of the user's.
type vim struct {
	t    *testing.T
	cmd  *exec.Cmd
	tty  *os.File
	file string
}

func startVim(t *testing.T, m *machine) *vim {
	t.Helper()
	v := &vim{t: t, file: filepath.Join(m.Dir("edited"), "text")}
	v.cmd = m.user.Coder(context.Background(), "ssh", "-t", "ws", "--", "vim -N -u NONE -n "+v.file)
	v.cmd.Env = append(v.cmd.Env, "TERM=xterm")
	tty, err := pty.StartWithSize(v.cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	v.tty = tty
	t.Cleanup(func() { tty.Close() })
	go io.Copy(io.Discard, tty) // ends with the terminal
	v.insert("i")
	return v
}

func (v *vim) insert(text string) {
	v.t.Helper()
	if _, err := io.WriteString(v.tty, text); err != nil {
		v.t.Fatalf("type into the editor: %v", err)
	}
}

func (v *vim) mustHaveWritten(want string) {
	v.t.Helper()
	v.insert("\x1b:wq\r")
	if err := v.cmd.Wait(); err != nil {
		v.t.Errorf("end of the editor: %v", err)
	}
	got, err := os.ReadFile(v.file)
	if err != nil || strings.TrimSuffix(string(got), "\n") != want {
		v.t.Errorf("the editor wrote %d bytes, %q, %v; want %d", len(got), got, err, len(want))
	}
}

// TestAgentHandsOver ends the network half by SIGUSR2 for a newer one.
func TestAgentHandsOver(t *testing.T) {
	m := newQuietMachine(t)
	agent := m.server.Agent(m.host, "ws")
	shell := m.user.Shell("ws")
	if err := agent.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	if err := agent.Wait(within(t, 10*time.Second)); err != nil {
		t.Errorf("end after SIGUSR2 = %v, want exit status 0", err)
	}
	agent.Restart()
	if _, err := agent.WaitLine(within(t, 20*time.Second), "connected to the server"); err != nil {
		t.Fatal(err)
	}
	t.Logf("the shell answers after %v", shell.MustAwait(afterCrash))
}

// TestAgentEndsItsSessions stops the agent as a service manager does.
func TestAgentEndsItsSessions(t *testing.T) {
	m := newQuietMachine(t)
	agent := m.server.Agent(m.host, "ws")
	shell := m.user.Shell("ws")
	host := strings.TrimSpace(m.user.MustRun("ssh", "ws", "--", "echo $PPID"))
	mustStop(t, agent)
	if err := shell.Wait(within(t, 10*time.Second)); err == nil {
		t.Error("the shell ended with status 0, want an error")
	}
	if _, err := os.Stat("/proc/" + host); !os.IsNotExist(err) {
		t.Errorf("the session host, process %s, is still there: %v", host, err)
	}
}
