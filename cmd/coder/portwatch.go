package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"sync"
	"time"

	"github.com/berthdev/berth/connect/forward"
	"github.com/berthdev/berth/server/api"
)

// watch keeps connections from a workspace that was stopped until it is started, and
// returns when it was deleted or ctx has ended.
func (f *forwarding) watch(ctx context.Context, w way) error {
	tell := func(text string) {
		if _, drawn := f.show.(*forwardTable); !drawn { // it would be in the middle of that
			fmt.Fprintln(os.Stderr, text)
		}
	}
	for ws := w.workspace; ; {
		var stopped stoppedError
		err := watchWorkspace(ctx, w.client, ws, lookEvery, tell)
		if !errors.As(err, &stopped) || stopped.status == api.BuildDeleted {
			return err
		}
		f.stopped.Store(&stopped)
		f.show.stopped(stopped)
		if ws, err = awaitRunning(ctx, w.client, ws); err != nil {
			return err
		}
		f.stopped.Store(nil)
		f.show.stopped(nil)
	}
}

// awaitRunning waits until somebody has started a workspace.
func awaitRunning(ctx context.Context, c *api.Client, ws api.Workspace) (api.Workspace, error) {
	news, end := follow(ctx, c, ws.ID)
	defer end()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		now := ws
		select {
		case now = <-news:
		case <-tick.C:
			if found, err := lookAt(ctx, c, ws.ID); err == nil {
				now = found
			}
		case <-ctx.Done():
			return ws, ctx.Err()
		}
		switch now.LatestBuild.Status {
		case api.BuildRunning:
			return now, nil
		case api.BuildDeleted:
			return now, stoppedError{ws.Name, api.BuildDeleted}
		}
	}
}

// dialFunc is forward.Config.Dial.
type dialFunc = func(ctx context.Context, network string, to forward.Endpoint) (net.Conn, error)

// unlessStopped refuses what goes to a workspace that is stopped: its agent may go
// on where nobody can end it.
func (f *forwarding) unlessStopped(dial dialFunc) dialFunc {
	return func(ctx context.Context, network string, to forward.Endpoint) (net.Conn, error) {
		if stopped := f.stopped.Load(); stopped != nil {
			return nil, *stopped
		}
		return dial(ctx, network, to)
	}
}

// failureAgain is after how long the same failure of a forward is told again.
const failureAgain = 10 * time.Second

// tellFailure tells of connections that come to nothing, of each reason now and then.
func (f *forwarding) tellFailure() func(*forward.Forward, error) {
	type failure struct {
		forward *forward.Forward
		text    string
	}
	var mu sync.Mutex
	told := map[failure]time.Time{}
	return func(fw *forward.Forward, err error) {
		now, what := time.Now(), failure{fw, err.Error()}
		mu.Lock()
		again := now.Sub(told[what]) < failureAgain
		if !again {
			maps.DeleteFunc(told, func(_ failure, at time.Time) bool { return now.Sub(at) >= failureAgain })
			told[what] = now
		}
		mu.Unlock()
		if !again {
			f.show.failed(fw, err)
		}
	}
}
