package server

import (
	"context"
	"time"
)

const (
	// cleanEvery is how often what nobody needs any more is removed.
	cleanEvery = 24 * time.Hour
	// keepExpired is how long an expired key is kept: whoever comes with it
	// learns that it has expired, and not that there is none.
	keepExpired = 7 * 24 * time.Hour
)

// cleanUp removes at the start and daily what nobody needs any more, until ctx
// ends.
func (s *Server) cleanUp(ctx context.Context) {
	tick := time.NewTicker(cleanEvery)
	defer tick.Stop()
	for {
		s.removeExpired(ctx, time.Now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) removeExpired(ctx context.Context, now time.Time) {
	n, err := s.store.DeleteExpiredAPIKeys(ctx, now.Add(-keepExpired))
	if err != nil && ctx.Err() == nil {
		s.log.Error("expired keys not removed", "err", err)
	}
	if n > 0 {
		s.log.Info("expired keys removed", "count", n)
	}
}
