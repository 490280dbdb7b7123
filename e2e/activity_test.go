//go:build linux

package e2e

import (
	"context"
	"strings"
	"testing"
)

// TestKeepalive has a command in the workspace and somebody elsewhere keep it up,
// and shows both.
func TestKeepalive(t *testing.T) {
	m := newQuietMachine(t)
	m.server.Agent(m.host, "ws")
	m.user.MustRun("schedule", "stop", "ws", "1m")
	shown := func(what string, want ...string) {
		t.Helper()
		eventually(t, what, func() (string, bool) {
			got := m.user.MustRun("show", "ws")
			for _, w := range want {
				if !strings.Contains(got, w) {
					return got, false
				}
			}
			return got, true
		})
	}
	inside := m.host.Start(m.user.Coder(context.Background(), "ssh", "ws", "--",
		"touch ~/runs; "+coder+" keepalive --reason 'long build' -- sh -c 'until [ -e ~/done ]; do sleep 0.05; done; exit 7'"))
	shown("the lease of the command", "agent main, until ", "long build", "by lease of agent main: long build")
	got := m.user.MustRun("keepalive", "ws", "--for", "3h", "--reason", "demo")
	if !strings.HasPrefix(got, `Workspace "ws" goes on until `) {
		t.Errorf("coder keepalive --for = %q", got)
	}
	shown("the user's lease", "admin, until ", ": demo")
	touch(t, m.Dir(m.host.Name())+"/done")
	if err := inside.Wait(within(t, patience)); err == nil || err.Error() != "exit status 7" {
		t.Errorf("coder keepalive ends with %v, want the command's exit status 7", err)
	}
	eventually(t, "the end of the command's lease", func() (string, bool) {
		got := m.user.MustRun("show", "ws")
		return got, !strings.Contains(got, "agent main, until ")
	})
	for what, args := range map[string][]string{
		"not in a workspace":  {"keepalive", "--", "true"},
		"a second":            {"keepalive", "ws", "--for", "1s"},
		"two workspaces":      {"keepalive", "a", "b", "--for", "1h"},
		"an unknown duration": {"schedule", "stop", "ws", "soon"},
		"too long":            {"schedule", "extend", "ws", "10000h"},
	} {
		if got := m.user.Run(within(t, patience), args...); got.Code != 1 || !strings.HasPrefix(got.Stderr, "error: ") {
			t.Errorf("coder, %s = %+v, want exit status 1 and an error", what, got)
		}
	}
	m.user.MustRun("schedule", "stop", "ws", "manual")
	if got := m.user.MustRun("show", "ws"); !strings.Contains(got, "stops       -") {
		t.Errorf("coder show after schedule stop manual = %q, want that it does not stop", got)
	}
}
