package main

import (
	"context"
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
	var following sync.WaitGroup
	following.Go(func() {
		for pause := firstPoll; ctx.Err() == nil; pause = min(2*pause, longestPause) {
			_ = c.WatchWorkspace(ctx, id, func(ws api.Workspace) error {
				pause = firstPoll
				select {
				case <-told: // nobody took it
				default:
				}
				told <- ws
				return nil
			})
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	})
	return told, func() { cancel(); following.Wait() }
}
