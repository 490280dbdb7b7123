//go:build linux

package health

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestShell(t *testing.T) {
	sh := Shell{Path: "/bin/bash", Env: []string{"PATH=" + os.Getenv("PATH"), "COLOUR=red"}, Dir: "/usr"}
	for _, tc := range []struct {
		what, text string
		out, err   string
	}{
		{"prints", "echo out; echo err >&2; echo again", "out\nerr\nagain\n", ""},
		{"fails", "echo why; exit 3", "why\n", "exit status 3"},
		{"is killed", "kill -9 $$", "", "signal: killed"},
		{"is the shell's", "echo ${BASH_VERSION:+bash} $COLOUR $PWD", "bash red /usr\n", ""},
		{"names an interpreter", "#!/bin/sh\necho ${BASH_VERSION:-sh}", "sh\n", ""},
		{"names one with an argument", "#!/usr/bin/env -S bash -e\nfalse\necho on", "", "exit status 1"},
		{"names nothing that is", "#!/no/such/thing\n", "", "start /no/such/thing: fork/exec /no/such/thing: no such file or directory"},
		{"reads", "cat; echo at its end", "at its end\n", ""},
		{"prints just enough", "head -c 10240 /dev/zero | tr '\\0' x", strings.Repeat("x", maxOutput), ""},
		{"prints too much", "yes | head -c 1000000", strings.Repeat("y\n", maxOutput/2), "the output is cut after 10 KiB"},
		{"prints too much and fails", "yes | head -c 1000000; exit 2", strings.Repeat("y\n", maxOutput/2), "exit status 2\nthe output is cut after 10 KiB"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			out, err := sh.Run(t.Context(), tc.text)
			if got := text(err); string(out) != tc.out || got != tc.err {
				t.Errorf("Run(%q) = %.60q (%d bytes), %q, want %.60q (%d bytes), %q", tc.text, out, len(out), got, tc.out, len(tc.out), tc.err)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestZeroShell(t *testing.T) {
	t.Setenv("COLOUR", "blue")
	out, err := Shell{}.Run(t.Context(), "echo $COLOUR $0; pwd")
	dir, _ := os.Getwd()
	if want := "blue /bin/sh\n" + dir + "\n"; string(out) != want || err != nil {
		t.Errorf("Run = %q, %v, want %q", out, err, want)
	}
}

// TestTimeoutEndsTheGroup has a child that ignores what it can.
func TestTimeoutEndsTheGroup(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	over := errors.New("its time is over")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	go func() {
		defer cancel(over)
		untilExists(ctx, pids)
	}()
	out, err := Shell{Path: "/bin/bash"}.Run(ctx, `
		trap '' TERM HUP INT
		(trap '' TERM HUP INT; while :; do sleep 1000; done) &
		echo $$ $! >`+pids+`.new
		echo begun
		mv `+pids+`.new `+pids+`
		wait`)
	if string(out) != "begun\n" || !errors.Is(err, over) {
		t.Errorf("Run = %q, %v, want what it printed and %v", out, err, over)
	}
	for _, pid := range read(t, pids) {
		untilGone(t, pid)
	}
}

// TestLeftBehind ends what a script leaves in its group, and does not wait for
// what has left it.
func TestLeftBehind(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	began := time.Now()
	out, err := Shell{Path: "/bin/bash"}.Run(t.Context(), "sleep 1000 & setsid sleep 1000 & echo $! >"+pids+"; jobs -p >>"+pids+"; echo done; until [ $(ps -o pgid= $!) = $! ]; do :; done")
	if string(out) != "done\n" || err != nil || time.Since(began) > patience {
		t.Errorf("Run = %q, %v after %v, want it not to wait", out, err, time.Since(began))
	}
	left := read(t, pids)
	if err := syscall.Kill(left[0], syscall.SIGKILL); err != nil {
		t.Errorf("end what has left the group: %v, want it alive until then", err)
	}
	for _, pid := range left {
		untilGone(t, pid)
	}
}

// TestStart gives the start of the process to the caller.
func TestStart(t *testing.T) {
	no := errors.New("no")
	if _, err := (Shell{Start: func(*exec.Cmd) error { return no }}).Run(t.Context(), "true"); !errors.Is(err, no) {
		t.Errorf("Run = %v, want %v", err, no)
	}
}

// TestMetadataOfProcesses is all of it together.
func TestMetadataOfProcesses(t *testing.T) {
	m := NewMetadata(Shell{}.Run)
	defer m.Close()
	m.Update([]Description{{Key: "good", Script: "echo 42"}, {Key: "bad", Script: "printf 'a\\377'; sleep 1000", Timeout: 200 * time.Millisecond}})
	done := errors.New("enough")
	found := map[string]string{}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := m.Report(ctx, func(_ context.Context, results []Result) error {
		for _, r := range results {
			found[r.Key] = r.Value + "|" + r.Error
		}
		if len(found) == 2 {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) || found["good"] != "42|" || found["bad"] != "a\ufffd|ended after 200ms, its time" {
		t.Errorf("Report = %v with %q, want both values", err, found)
	}
}

// untilExists waits for a file, or the end of ctx.
func untilExists(ctx context.Context, path string) {
	poll(ctx, func() bool {
		_, err := os.Stat(path)
		return err == nil
	})
}

// untilGone waits for the end of a process: it dies a moment after it was
// killed, and whoever takes its place as a child reaps it.
func untilGone(t *testing.T, pid int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if !poll(ctx, func() bool { state := stateOf(pid); return state == "" || state == "Z" }) {
		t.Errorf("process %d is in state %s, want it gone", pid, stateOf(pid))
	}
}

// poll reports whether something became true before ctx ended.
func poll(ctx context.Context, is func() bool) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// stateOf is the letter of a process's state, "" when there is none.
func stateOf(pid int) string {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	state, _, _ := strings.Cut(rest, " ")
	return state
}

// read returns the numbers in a file.
func read(t *testing.T, path string) (numbers []int) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range strings.Fields(string(raw)) {
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, n)
	}
	return numbers
}
