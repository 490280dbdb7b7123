//go:build linux

package host

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/agent/script"
)

// withScripts is a setup with one script of the start, which leaves a line in
// the file "started", and one of the stop.
func withScripts(t *testing.T) (s Setup, started string) {
	t.Helper()
	dir := t.TempDir()
	started = filepath.Join(dir, "started")
	s = setupForTests
	s.Options.DataDir, s.Options.LogDir = dir, dir
	s.Scripts = []script.Script{
		{ID: uuid.New(), Source: uuid.New(), Name: "start", OnStart: true, Text: "echo $FROM_SETUP; echo x >> " + started},
		{ID: uuid.New(), Source: uuid.New(), Name: "stop", OnStop: true, Text: "echo stopped"},
	}
	return s, started
}

func mustAttach(t *testing.T, c *Client, s Setup) {
	t.Helper()
	if err := c.Attach(t.Context(), s); err != nil {
		t.Fatalf("Attach: %v", err)
	}
}

// untilPhase collects what scripts do until a phase.
func untilPhase(t *testing.T, c *Client, phase script.Phase) (lines []string, last uint64) {
	t.Helper()
	for {
		events, err := c.ScriptEvents(t.Context(), last)
		if err != nil {
			t.Fatalf("ScriptEvents: %v", err)
		}
		for _, e := range events {
			last = e.Number
			lines = append(lines, linesOf(e)...)
			if e.Event.Phase != nil && e.Event.Phase.Phase == phase {
				return lines, last
			}
		}
	}
}

func linesOf(events ...Numbered[script.Event]) (lines []string) {
	for _, e := range events {
		if e.Event.Line != nil {
			lines = append(lines, e.Event.Line.Text)
		}
	}
	return lines
}

// TestScriptsRunOnce has one network half after the other, and a host that is
// replaced: none of them is a start of the workspace.
func TestScriptsRunOnce(t *testing.T) {
	name := newName(t)
	setup, started := withScripts(t)
	first := half(t, name, "1")
	mustAttach(t, first, setup)
	lines, last := untilPhase(t, first, script.Ready)
	if !slices.Equal(lines, []string{"yes"}) {
		t.Errorf("lines of the start = %q, want the one with the setup's variable", lines)
	}
	if _, err := first.ScriptEvents(shortly(t), last); err == nil {
		t.Error("there are more events than the last")
	}
	first.Close()
	for _, version := range []string{"1", "2"} {
		next := half(t, name, version)
		mustAttach(t, next, setup)
		s := mustState(t, next)
		if s.Phase.Phase != script.Ready || s.Version != version {
			t.Errorf("state for version %s = %+v, want that version and ready", version, s)
		}
		next.Close()
	}
	if got, err := os.ReadFile(started); err != nil || string(got) != "x\n" {
		t.Errorf("the script of the start left %q, %v, want it to have run once", got, err)
	}
}

// TestEndRunsTheStop takes the last events along.
func TestEndRunsTheStop(t *testing.T) {
	c := half(t, newName(t), "1")
	setup, _ := withScripts(t)
	mustAttach(t, c, setup)
	_, last := untilPhase(t, c, script.Ready)
	left, err := c.End(t.Context(), last)
	if err != nil {
		t.Fatalf("End: %v", err)
	}
	if lines := linesOf(left...); !slices.Equal(lines, []string{"stopped"}) {
		t.Errorf("lines of the stop = %q, want its one", lines)
	}
	if len(left) == 0 || left[len(left)-1].Event.Phase == nil || left[len(left)-1].Event.Phase.Phase != script.Off {
		t.Errorf("last of %d events is not that all is off", len(left))
	}
}

// TestHostWithAScriptIsKept has what a script started outlive a network half of
// another version.
func TestHostWithAScriptIsKept(t *testing.T) {
	name := newName(t)
	setup, _ := withScripts(t)
	setup.Scripts[0].Text = "sleep 1000 & echo $!"
	c := half(t, name, "1")
	mustAttach(t, c, setup)
	lines, _ := untilPhase(t, c, script.Ready)
	pid := mustState(t, c).PID
	c.Close()
	next := half(t, name, "2")
	mustAttach(t, next, setup)
	if s := mustState(t, next); s.PID != pid || s.Idle() {
		t.Errorf("host after an upgrade = %+v, want the one that keeps what the script started", s)
	}
	if cmdline, err := os.ReadFile("/proc/" + lines[0] + "/cmdline"); err != nil || !strings.HasPrefix(string(cmdline), "sleep") {
		t.Errorf("process %s = %q, %v, want it alive", lines[0], cmdline, err)
	}
	if err := killProcess(lines[0]); err != nil {
		t.Error(err)
	}
}

// shortly is a context that ends before anything new happens: a question with it
// only says what was heard.
func shortly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// killProcess ends the process of a line.
func killProcess(line string) error {
	pid, err := strconv.Atoi(line)
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}
