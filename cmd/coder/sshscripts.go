package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/term"

	"github.com/berthdev/berth/server/api"
)

// scriptsRun reports whether start scripts may still run in that state. One
// that was never reported counts: the agent is about to start.
func scriptsRun(s api.AgentLifecycle) bool {
	return s == api.LifecycleCreated || s == api.LifecycleStarting
}

// startIsAhead reports whether start scripts run in that state or will: an agent that
// stops or is off starts anew before anybody can log in.
func startIsAhead(s api.AgentLifecycle) bool {
	switch s {
	case api.LifecycleShuttingDown, api.LifecycleShutdownTimeout, api.LifecycleShutdownError, api.LifecycleOff:
		return true
	}
	return scriptsRun(s)
}

// awaitScripts waits until the start scripts have ended, whether well or not, of
// which news tells. What they print is shown on stderr meanwhile. Somebody at a
// terminal can go on without them.
func awaitScripts(ctx context.Context, c *api.Client, a api.Agent, news <-chan api.Workspace, p *progress, interactive bool) (api.Agent, error) {
	ctx, cancel := context.WithCancel(ctx)
	var showing sync.WaitGroup
	defer showing.Wait()
	defer cancel()
	var skip <-chan struct{}
	way := ""
	if interactive && term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd())) {
		typed, stop := lineTyped(os.Stdin)
		defer stop()
		skip, way = typed, " "+waySkip+" goes on without them."
	}
	show := sync.OnceFunc(func() {
		of := a
		fmt.Fprintf(p, "The start scripts of agent %s still run%s.%s\n", printable(of.Name), blockingNames(of), way)
		showing.Go(func() { showScripts(ctx, c, of, p) })
	})
	for pause := firstPoll; startIsAhead(a.LifecycleState); pause = min(2*pause, lastPoll) {
		if a.LifecycleState == api.LifecycleStarting {
			show()
		}
		var err error
		select {
		case ws := <-news:
			if now, ok := agentOf(ws, a.ID); ok {
				a = now
			}
			continue
		case <-time.After(pause):
		case <-skip:
			return a, nil
		case <-ctx.Done():
			return a, ctx.Err()
		}
		if a, err = c.Agent(ctx, a.ID); err != nil {
			return a, err
		}
	}
	if a.LifecycleState == api.LifecycleStartError || a.LifecycleState == api.LifecycleStartTimeout {
		fmt.Fprintf(p, "The start scripts of agent %s did not end well (%s): coder logs says more.\n", printable(a.Name), a.LifecycleState)
	}
	return a, nil
}

func agentOf(ws api.Workspace, id uuid.UUID) (api.Agent, bool) {
	for _, r := range ws.LatestBuild.Resources {
		for _, a := range r.Agents {
			if a.ID == id {
				return a, true
			}
		}
	}
	return api.Agent{}, false
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

// showScripts prints what scripts print since the agent started, until ctx ends.
// That it cannot be shown is no reason not to wait.
func showScripts(ctx context.Context, c *api.Client, a api.Agent, w io.Writer) {
	out := newLogPrinter(w)
	if a.StartedAt != nil {
		out.since = *a.StartedAt
	}
	_ = followAgent(ctx, c, a, 0, out)
}
