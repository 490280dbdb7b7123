package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"
	"golang.org/x/term"

	"github.com/berthdev/berth/server/api"
)

// warnings are how long before its stop a workspace is told of, shortest first.
var warnings = [...]time.Duration{time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute}

// stopWarnings decides when to tell of a stop. The zero value has told nothing.
type stopWarnings struct {
	told time.Duration // the last of warnings that was due; 0 for none
}

// due reports whether the time that is left is to be told: once for each of
// warnings, and again after the stop was put off.
func (w *stopWarnings) due(left time.Duration) bool {
	before := w.told
	w.told = 0
	for _, at := range warnings {
		if left <= at {
			w.told = at
			break
		}
	}
	return w.told > 0 && (before == 0 || w.told < before)
}

// stoppedError ends sessions of a workspace that does not run any more.
type stoppedError struct {
	workspace string
	status    api.BuildStatus
}

func (e stoppedError) Error() string {
	return fmt.Sprintf("workspace %q is %s", e.workspace, e.status)
}

const (
	// lookTimeout is how long the server may take to tell of a workspace.
	lookTimeout = 30 * time.Second

	// lookEvery is how often it is asked, by default.
	lookEvery = time.Minute

	// shortSession is what is over before anybody stops its workspace: not worth a
	// stream of its own.
	shortSession = 2 * time.Second
)

// watchWorkspace watches whether the workspace still runs, until ctx ends: it tells
// how long it will, and returns a stoppedError when it does not. It hears of a stop
// and looks every so often. A server that does not answer ends no session.
func watchWorkspace(ctx context.Context, c *api.Client, ws api.Workspace, every time.Duration, tell func(string)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	begin := time.NewTimer(shortSession)
	defer begin.Stop()
	var told stopWarnings
	var news <-chan api.Workspace
	name := ws.Name // of one that is gone nothing else is told
	for {
		build := ws.LatestBuild
		if build.Status == api.BuildStopped || build.Status == api.BuildDeleted {
			return stoppedError{name, build.Status}
		}
		if build.Deadline != nil && told.due(time.Until(*build.Deadline)) {
			tell(aboutToStop(ws, *build.Deadline))
		}
		select {
		case ws = <-news:
			continue
		case <-begin.C:
			followed, stop := follow(ctx, c, ws.ID)
			defer stop()
			news = followed
			continue
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		now, err := lookAt(ctx, c, ws.ID)
		if api.StatusCode(err) == http.StatusNotFound {
			return stoppedError{name, api.BuildDeleted}
		}
		if err == nil {
			ws = now
		}
	}
}

func lookAt(ctx context.Context, c *api.Client, id uuid.UUID) (api.Workspace, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return c.Workspace(ctx, id)
}

// aboutToStop says when a workspace will stop.
func aboutToStop(ws api.Workspace, deadline time.Time) string {
	left := max(1, int(time.Until(deadline).Round(time.Minute)/time.Minute))
	plural := "s"
	if left == 1 {
		plural = ""
	}
	return fmt.Sprintf("Workspace %s stops in %d minute%s, at %s. \"coder schedule extend %s/%s 3h\" puts it off.",
		printable(ws.Name), left, plural, deadline.Local().Format("15:04"), printable(ws.OwnerName), printable(ws.Name))
}

// watch tells of the stop of the workspace, and ends the session by stop when it
// was stopped.
func (o *sshOptions) watch(ctx context.Context, c *api.Client, ws api.Workspace, stop context.CancelCauseFunc) {
	if o.pollInterval == 0 {
		return
	}
	tell := func(text string) {
		switch {
		case o.stdio: // nobody sees it, or in the wrong place
		case term.IsTerminal(int(os.Stderr.Fd())): // it may be raw, and drawn on
			fmt.Fprintf(os.Stderr, "\r\n%s\r\n", text)
		default:
			fmt.Fprintln(os.Stderr, text)
		}
	}
	var stopped stoppedError
	if err := watchWorkspace(ctx, c, ws, o.pollInterval, tell); errors.As(err, &stopped) {
		stop(stopped)
	}
}

// becauseStopped replaces the error of a session that was ended because its
// workspace was stopped.
func (o *sshOptions) becauseStopped(ctx context.Context, err error) error {
	var stopped stoppedError
	if errors.Is(err, context.Canceled) && errors.As(context.Cause(ctx), &stopped) {
		return withStatus{withHint(stopped, "coder start "+o.target.workspaceName()), exitLost}
	}
	return err
}
