//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berthdev/berth/server/api"
)

func TestStopWarnings(t *testing.T) {
	minutes := func(n float64) time.Duration { return time.Duration(n * float64(time.Minute)) }
	var w stopWarnings
	for _, step := range []struct {
		left float64
		want bool
	}{
		{90, false},
		{30.5, false},
		{29.5, true},
		{28.5, false},
		{12, false},
		{9.9, true},
		{6, false},
		{4.2, true},
		{1.1, false},
		{0.9, true},
		{-1, false},
		// The stop was put off.
		{8, false},
		{4, true},
		{60, false},
		{20, true},
		// Looks that are far apart.
		{0.5, true},
	} {
		if got := w.due(minutes(step.left)); got != step.want {
			t.Errorf("due(%v minutes) = %v, want %v", step.left, got, step.want)
		}
	}
}

func TestAboutToStop(t *testing.T) {
	ws := api.Workspace{Name: "dev", OwnerName: "ann"}
	for left, want := range map[time.Duration]string{
		10 * time.Minute: "Workspace dev stops in 10 minutes, at ",
		50 * time.Second: "Workspace dev stops in 1 minute, at ",
		-time.Second:     "Workspace dev stops in 1 minute, at ",
	} {
		got := aboutToStop(ws, time.Now().Add(left))
		if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, `. "coder schedule extend ann/dev 3h" puts it off.`) {
			t.Errorf("aboutToStop %v before = %q, want %q", left, got, want)
		}
	}
}

func TestStopIsToldOf(t *testing.T) {
	l := newLab(t)
	l.workspace(t, "ws")
	l.coder(t, "schedule", "stop", "ws", "20m")
	const want = "Workspace ws stops in 20 minutes"
	out, errs, _ := finish(t, l.command("ssh", "ws", "--", "echo out"))
	if out != "out\n" || !strings.HasPrefix(errs, want) {
		t.Errorf("ssh to a workspace that stops in 20 minutes = %q, %q, want out and %q", out, errs, want)
	}
	out, errs, _ = finish(t, l.openSSH(t, "coder.ws", "--", "echo out"))
	if out != "out\n" || errs != "" {
		t.Errorf("OpenSSH = %q, %q, want out alone", out, errs)
	}
	_, errs, code := finish(t, l.command("ssh", "--workspace-poll-interval", "0", "ws", "--", "true"))
	if code != 0 || errs != "" {
		t.Errorf("ssh that never looks = %d, %q, want no word", code, errs)
	}
	_, errs, code = finish(t, l.command("ssh", "--workspace-poll-interval", "-1s", "ws", "--", "true"))
	if code != 1 || !strings.Contains(errs, "--workspace-poll-interval -1s: want no less than 0") {
		t.Errorf("ssh with a negative interval = %d, %q, want an error", code, errs)
	}
}

// TestSessionsEndWithTheirWorkspace stops a workspace whose agent goes on, as one
// does that the network parts from the server.
func TestSessionsEndWithTheirWorkspace(t *testing.T) {
	l := newLab(t)
	l.workspace(t, "ws")
	s := l.shell(t, "ws")
	s.enter("echo ready-$((1+1))\r")
	s.expect(`ready-2`)
	proxied := l.command("ssh", "--stdio", "ws")
	var errs strings.Builder
	proxied.Stderr = &errs
	in, err := proxied.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := proxied.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := proxied.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	l.coder(t, "stop", "ws", "--yes")
	s.expect(`error: workspace "ws" is stopped\r\nhint: coder start ws`)
	if got := s.wait(); got != exitLost {
		t.Errorf("the stop of the workspace ends coder ssh with %d, want %d", got, exitLost)
	}
	io.Copy(io.Discard, out)
	if err := proxied.Wait(); proxied.ProcessState.ExitCode() != exitLost || !strings.HasPrefix(errs.String(), `error: workspace "ws" is stopped`) {
		t.Errorf("the stop of the workspace ends coder ssh --stdio with %v, %q, want %d and why", err, &errs, exitLost)
	}
}

// TestForwardsWaitForTheirWorkspace stops a workspace, whose agent goes on, and
// starts it again: meanwhile connections are refused, with a reason.
func TestForwardsWaitForTheirWorkspace(t *testing.T) {
	l := newLab(t)
	l.workspace(t, "ws")
	there := listenTCP(t, func(c *net.TCPConn) { io.WriteString(c, "here") })
	_, port, _ := net.SplitHostPort(there)
	local := filepath.Join(t.TempDir(), "local")
	forward := l.command("port-forward", "ws", "--tcp", local+":"+port, "-o", "json")
	var forwardErrs strings.Builder
	forward.Stderr = &forwardErrs
	said, err := forward.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := forward.Start(); err != nil {
		t.Fatal(err)
	}
	defer forward.Process.Kill()
	events := json.NewDecoder(said)
	mustSay := func(want, reason string) {
		t.Helper()
		var e forwardEvent
		if err := events.Decode(&e); err != nil || e.Event != want || e.Error != reason {
			t.Fatalf("port-forward says %+v, %v; want %s and %q", e, err, want, reason)
		}
	}
	mustHear := func(want string) {
		t.Helper()
		conn, err := net.Dial("unix", local)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if got, err := io.ReadAll(conn); string(got) != want && err == nil {
			t.Fatalf("a connection gives %q, %v; want %q", got, err, want)
		}
	}
	mustSay("listening", "")
	mustSay("ready", "")
	mustHear("here")
	l.coder(t, "stop", "ws", "--yes")
	mustSay("stopped", `workspace "ws" is stopped`)
	for range 3 { // of which one is told
		mustHear("")
	}
	mustSay("failed", `workspace "ws" is stopped`)
	l.coder(t, "start", "ws")
	mustSay("running", "")
	mustHear("here")
	l.coder(t, "delete", "ws", "--yes")
	if e := new(forwardEvent); !errors.Is(events.Decode(e), io.EOF) {
		t.Errorf("port-forward says %+v of a deletion, want its end", e)
	}
	if err := forward.Wait(); forward.ProcessState.ExitCode() != 1 || forwardErrs.String() != "error: workspace \"ws\" is deleted\nhint: coder list\n" {
		t.Errorf("the deletion of the workspace ends port-forward with %v, %q, want 1 and why", err, &forwardErrs)
	}
}
