//go:build linux

package e2e

import (
	"strings"
	"testing"
	"time"
)

// TestSessionsAreReported looks for a session's end in the server's log, with
// what it was, how it ended and where it came from.
func TestSessionsAreReported(t *testing.T) {
	m := newQuietMachine(t)
	m.server.Agent(m.host, "ws")
	if got := m.user.Run(within(t, patience), "ssh", "--usage-app", "vscode", "ws", "--", "exit 3"); got.Code != 3 {
		t.Fatalf("coder ssh = %+v, want exit status 3", got)
	}
	line, err := m.server.WaitLine(within(t, 20*time.Second), "action=disconnect type=vscode")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"workspace=ws", "owner=admin", "code=3", "ip=fd7a:115c:a1e0:"} {
		if !strings.Contains(line, want) {
			t.Errorf("the server logged %q, want %q in it", line, want)
		}
	}
}
