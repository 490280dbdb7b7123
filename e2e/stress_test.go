//go:build linux

package e2e

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	// machineMemory is what the machine under stress has: enough for systemd, the
	// agent and a login, not for what is asked of it.
	machineMemory = 768 << 20
	// loginBudget is how long 19 of 20 logins may take under stress.
	loginBudget = 2 * time.Second
	logins      = 20
)

// TestServiceUnderStress has users' processes take all memory, again and again,
// and four times the processors that there are.
func TestServiceUnderStress(t *testing.T) {
	s := &service{machine: &machine{World: newWorldAlone(t)}} // it loads all of this machine
	s.host = s.Host("machine")
	s.server = s.Serve(s.host)
	s.user = s.server.User(s.host)
	s.install(t)
	s.mustBe(t, "StatusText", "connected to ")
	agent, host := s.show("MainPID"), s.systemd.MustRun("pgrep", "--full", "session-host")
	s.systemd.LimitMemory(machineMemory)
	hogs := fmt.Sprintf("for i in $(seq %d); do setsid sh -c 'while :; do :; done' & done; setsid sh -c 'while :; do tail /dev/zero; echo >> ~/killed; done' &", 4*runtime.NumCPU())
	s.user.MustRun("ssh", "ws", "--", "nohup sh -c '"+strings.ReplaceAll(hogs, "'", `'\''`)+"' >/dev/null 2>&1 </dev/null")
	eventually(t, "a process that the kernel kills", func() (string, bool) {
		return "", s.systemd.Run("ls", "/home/coder/killed").Code == 0
	})

	var took []time.Duration
	for range logins {
		began := time.Now()
		if got := s.user.Run(within(t, patience), "ssh", "ws", "--", "echo in"); got.Code != 0 || got.Stdout != "in\n" {
			t.Errorf("a login under stress = %+v, want it to work", got)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("logins took %v, the slowest of 95 %% %v", took[len(took)/2], took[len(took)*95/100-1])
	if p95 := took[len(took)*95/100-1]; p95 > loginBudget {
		t.Errorf("p95 of logins under stress = %v, want at most %v", p95, loginBudget)
	}
	if n := len(strings.Fields(s.systemd.MustRun("pgrep", "--full", "while :; do :; done"))); n < 4*runtime.NumCPU() {
		t.Errorf("%d processes load the machine, want %d at least", n, 4*runtime.NumCPU())
	}
	if now := s.show("MainPID"); now != agent {
		t.Errorf("the agent is process %s, was %s: it was killed", now, agent)
	}
	if now := s.systemd.MustRun("pgrep", "--full", "session-host"); now != host {
		t.Errorf("the session host is process %s, was %s: it was killed", now, host)
	}
}
