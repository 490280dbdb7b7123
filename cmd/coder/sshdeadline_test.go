//go:build linux

package main

import (
	"io"
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
	forward := l.command("port-forward", "ws", "--tcp", "0:80")
	var forwardErrs strings.Builder
	forward.Stderr = &forwardErrs
	said, err := forward.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := forward.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(said, make([]byte, 8)); err != nil {
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
	io.Copy(io.Discard, said)
	if err := forward.Wait(); forward.ProcessState.ExitCode() != 1 || forwardErrs.String() != "error: workspace \"ws\" is stopped\nhint: coder start ws\n" {
		t.Errorf("the stop of the workspace ends coder port-forward with %v, %q, want 1 and why", err, &forwardErrs)
	}
}
