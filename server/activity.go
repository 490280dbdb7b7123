package server

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/store"
)

const (
	// bumpSteps is the part of the bump by which a deadline must get later by a
	// use to be written: a twentieth.
	bumpSteps = 20
	// minTTL and maxTTL bound how long a workspace may run after its start, and
	// minExtend how far ahead an extension must be.
	minTTL, maxTTL = time.Minute, 30 * 24 * time.Hour
	minExtend      = time.Minute
)

// bumped returns the deadline of a workspace that is used now, and whether it is
// worth writing. bump is how long use lets it go on; 0 for not at all.
func bumped(deadline, now time.Time, bump time.Duration) (time.Time, bool) {
	later := now.Add(bump)
	return later, bump > 0 && !deadline.IsZero() && later.Sub(deadline) >= bump/bumpSteps
}

// leaseEnd returns when a lease ends that is asked for from now on, and whether
// there is any time left for it. most is how long it may last in all.
func leaseEnd(began, now time.Time, wanted, most time.Duration) (time.Time, bool) {
	end := now.Add(wanted)
	if last := began.Add(most); end.After(last) {
		end = last
	}
	return end, end.After(now)
}

// used writes down that a workspace is in use, and by what.
func (s *Server) used(ctx context.Context, workspace uuid.UUID, cause string) error {
	return s.usedAt(ctx, workspace, cause, time.Now())
}

func (s *Server) usedAt(ctx context.Context, workspace uuid.UUID, cause string, now time.Time) error {
	wrote, err := s.store.TouchWorkspace(ctx, workspace, now)
	if err != nil || !wrote { // at most once in a minute
		return err
	}
	defer s.events.changed(workspace)
	ws, err := s.store.WorkspaceByID(ctx, workspace)
	if err != nil {
		return err
	}
	if later, worth := bumped(ws.LatestBuild.Deadline, now, ws.Template.Limits().ActivityBump); worth {
		return s.extend(ctx, workspace, later, cause)
	}
	return nil
}

// extend puts a deadline off.
func (s *Server) extend(ctx context.Context, workspace uuid.UUID, until time.Time, cause string) error {
	extended, err := s.store.Extend(ctx, workspace, until, cause)
	if extended {
		s.log.Info("workspace goes on", "workspace", workspace, "until", until, "cause", cause)
		s.rescheduled(workspace)
	}
	return err
}

// ttl is how long a workspace may run, from milliseconds; nil and 0 are for ever.
func ttl(millis *int64) (time.Duration, error) {
	if millis == nil || *millis == 0 {
		return 0, nil
	}
	d := time.Duration(*millis) * time.Millisecond
	if *millis < 0 || *millis > maxTTL.Milliseconds() || d < minTTL {
		return 0, invalid("ttl_ms", "Must be from 1 minute to 30 days, or null.")
	}
	return d, nil
}

func leaseJSON(l store.Lease) api.Lease {
	return api.Lease{ID: l.ID, Holder: l.Holder, Reason: l.Reason, CreatedAt: l.CreatedAt, ExpiresAt: l.ExpiresAt}
}
