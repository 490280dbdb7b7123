package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/berthdev/berth/server/api"
)

// scriptsRun reports whether start scripts may still run in that state. One
// that was never reported counts: the agent is about to start.
func scriptsRun(s api.AgentLifecycle) bool {
	return s == api.LifecycleCreated || s == api.LifecycleStarting
}

// awaitScripts waits until the start scripts have ended, whether well or not.
// Somebody at a terminal sees what they print and can go on without them.
func awaitScripts(ctx context.Context, c *api.Client, a api.Agent, p *progress, interactive bool) (api.Agent, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var skip <-chan struct{}
	if interactive && term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd())) {
		p.end()
		fmt.Fprintf(os.Stderr, "The start scripts of agent %s still run%s. %s goes on without them.\n", printable(a.Name), blockingNames(a), waySkip)
		typed, stop := lineTyped(os.Stdin)
		defer stop()
		skip = typed
		var showing sync.WaitGroup
		defer showing.Wait()
		defer cancel()
		showing.Go(func() { showScripts(ctx, c, a, os.Stderr) })
	}
	for pause := firstPoll; scriptsRun(a.LifecycleState); pause = min(2*pause, lastPoll) {
		select {
		case <-time.After(pause):
		case <-skip:
			return a, nil
		case <-ctx.Done():
			return a, ctx.Err()
		}
		var err error
		if a, err = c.Agent(ctx, a.ID); err != nil {
			return a, err
		}
	}
	if a.LifecycleState == api.LifecycleStartError || a.LifecycleState == api.LifecycleStartTimeout {
		fmt.Fprintf(os.Stderr, "The start scripts of agent %s did not end well (%s): coder logs says more.\n", printable(a.Name), a.LifecycleState)
	}
	return a, nil
}

// blockingNames names the scripts that logins should wait for.
func blockingNames(a api.Agent) string {
	var names []string
	for _, s := range a.Scripts {
		if s.RunOnStart && s.StartBlocksLogin {
			names = append(names, printable(s.DisplayName))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " (" + strings.Join(names, ", ") + ")"
}

// showScripts prints what scripts print, until ctx ends. That it cannot be shown
// is no reason not to wait.
func showScripts(ctx context.Context, c *api.Client, a api.Agent, w io.Writer) {
	out := newLogPrinter(w)
	_ = followAgent(ctx, c, a, 0, out)
}
