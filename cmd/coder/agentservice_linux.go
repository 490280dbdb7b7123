package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// exitHopeless is the exit status of an agent that would fail again if it were
// started again: EX_CONFIG of sysexits.h. The unit names it, so that systemd
// does not try.
const exitHopeless = 78

// service tells systemd how the agent is; without systemd it does nothing.
type service struct{}

// status is shown by systemctl status. The first one also ends the start: the
// agent serves as soon as it can, whether the server is there or not.
func (service) status(text string) {
	line := strings.Join(strings.Fields(text), " ")                      // a second line would be another message
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady+"\nSTATUS="+line) // systemd being away is no reason to stop
}

// watch tells systemd's watchdog that the agent is alive, until ctx ends. alive
// must return soon: while it does not, nothing is told, and systemd starts the
// agent anew in the end.
func (service) watch(ctx context.Context, alive func()) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		return
	}
	tick := time.NewTicker(every / 3)
	defer tick.Stop()
	for {
		alive()
		_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// forSessions is an environment without what is meant for the agent alone: a
// user's program must not speak to systemd in its name.
func forSessions(environ []string) []string {
	kept := make([]string, 0, len(environ))
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		switch name {
		case "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID":
		default:
			kept = append(kept, variable)
		}
	}
	return kept
}

// machineStops reports whether systemd is stopping the whole machine: then no
// other agent takes the sessions over.
func machineStops(ctx context.Context) bool {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, "systemctl", "is-system-running").Output() // fails in every state but running
	return strings.TrimSpace(string(out)) == "stopping"
}
