package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
)

// longestPause is that between two tries to hear of a workspace.
const longestPause = 30 * time.Second

// follow tells of a workspace at once and when it changes, as long as the server can
// be heard: who must know looks now and then, too. Only the latest waits to be taken.
// Call stop in the end.
func follow(ctx context.Context, c *api.Client, id uuid.UUID) (news <-chan api.Workspace, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	told := make(chan api.Workspace, 1)
	tell := func(ws api.Workspace) error {
		select {
		case <-told: // nobody took it
		default:
		}
		told <- ws
		return nil
	}
	var following sync.WaitGroup
	following.Go(func() { keepWatching(ctx, c, id, tell) })
	return told, func() { cancel(); following.Wait() }
}

// keepWatching watches a workspace until it is gone, ctx ends, or the server turns
// out to have no such stream.
func keepWatching(ctx context.Context, c *api.Client, id uuid.UUID, tell func(api.Workspace) error) {
	for pause := firstPoll; ctx.Err() == nil; pause = min(2*pause, longestPause) {
		err := c.WatchWorkspace(ctx, id, func(ws api.Workspace) error {
			pause = firstPoll
			return tell(ws)
		})
		if api.StatusCode(err) == http.StatusNotFound {
			if _, err := lookAt(ctx, c, id); api.StatusCode(err) == http.StatusNotFound {
				_ = tell(api.Workspace{ID: id, LatestBuild: api.Build{Status: api.BuildDeleted}})
			}
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}
