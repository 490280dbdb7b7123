package server

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/store"
)

const (
	// activityBump is how long a workspace goes on after its last use
	// (reference: server §, 1 h).
	activityBump = time.Hour
	// bumpStep is how much later a deadline must get by a use to be written: 5 %
	// of the bump.
	bumpStep = activityBump / 20
	// maxLease is how long one lease may last, with its renewals.
	maxLease = 24 * time.Hour
	// minTTL and maxTTL bound how long a workspace may run after its start, and
	// minExtend how far ahead an extension must be.
	minTTL, maxTTL = time.Minute, 30 * 24 * time.Hour
	minExtend      = time.Minute
	// stopAgainAfter is how long a workspace that could not be stopped is left
	// alone.
	stopAgainAfter = time.Minute
)

// bumped returns the deadline of a workspace that is used now, and whether it is
// worth writing.
func bumped(deadline, now time.Time) (time.Time, bool) {
	later := now.Add(activityBump)
	return later, !deadline.IsZero() && later.Sub(deadline) >= bumpStep
}

// leaseEnd returns when a lease ends that is asked for from now on, and whether
// there is any time left for it.
func leaseEnd(began, now time.Time, wanted time.Duration) (time.Time, bool) {
	end := now.Add(wanted)
	if last := began.Add(maxLease); end.After(last) {
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
	if later, worth := bumped(ws.LatestBuild.Deadline, now); worth {
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

// rescheduled tells who waits for deadlines that there are others.
func (s *Server) rescheduled(workspace uuid.UUID) {
	s.deadlines.changed(uuid.Nil)
	s.events.changed(workspace)
}

// stopInTime stops workspaces at their deadlines, until ctx ends. It sleeps from
// one deadline to the next.
func (s *Server) stopInTime(ctx context.Context) {
	changed, stop := s.deadlines.watch(uuid.Nil)
	defer stop()
	later := map[uuid.UUID]time.Time{} // those that could not be stopped
	for ctx.Err() == nil {
		wait := s.stopDue(ctx, later)
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// stopDue stops what is due, and returns how long to wait for more.
func (s *Server) stopDue(ctx context.Context, later map[uuid.UUID]time.Time) (wait time.Duration) {
	wait = time.Hour // clocks may jump
	var without []uuid.UUID
	for id, again := range later {
		if left := time.Until(again); left > 0 {
			without, wait = append(without, id), min(wait, left)
		} else {
			delete(later, id)
		}
	}
	for ctx.Err() == nil {
		id, deadline, err := s.store.NextDeadline(ctx, without)
		if err != nil {
			s.log.Error("deadlines not known", "err", err)
			return stopAgainAfter
		}
		if id == uuid.Nil {
			return wait
		}
		if left := time.Until(deadline); left > 0 {
			return min(wait, left)
		}
		if err := s.stopFor(ctx, id); err != nil {
			s.log.Warn("workspace not stopped at its deadline", "workspace", id, "err", err)
		}
		without, wait = append(without, id), min(wait, stopAgainAfter)
		later[id] = time.Now().Add(stopAgainAfter)
	}
	return wait
}

// stopFor stops a workspace whose deadline has passed, if it still has.
func (s *Server) stopFor(ctx context.Context, workspace uuid.UUID) error {
	ws, err := s.store.WorkspaceByID(ctx, workspace)
	if err != nil {
		return err
	}
	done, err := byoResult(store.TransitionStop, ws.LatestBuild.Parameters)
	if err != nil {
		return err
	}
	b, err := s.store.CreateBuild(ctx, workspace, store.NewBuild{
		Transition: store.TransitionStop, Reason: "autostop", InitiatorID: ws.OwnerID, Due: time.Now(), Done: done,
	})
	if err != nil {
		return err
	}
	s.log.Info("workspace stopped at its deadline", "workspace", ws.Name, "owner", ws.Owner.Username, "build", b.Number)
	s.built(ws, store.TransitionStop)
	return nil
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
