package server

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/store"
)

// againAfter is how long a workspace whose time has come is left alone after the
// server did something about it, or could not.
const againAfter = time.Minute

// agenda is what happens to workspaces at a time of their own.
type agenda struct {
	what string // for the log
	// next is the workspace whose time comes first, and that time, without some;
	// the zero id for none.
	next func(ctx context.Context, without []uuid.UUID) (uuid.UUID, time.Time, error)
	act  func(ctx context.Context, workspace uuid.UUID) error
}

// stops has workspaces stop at their deadlines.
func (s *Server) stops() agenda { return agenda{"stop at a deadline", s.store.NextDeadline, s.stopFor} }

// starts has workspaces start by their schedules.
func (s *Server) starts() agenda { return agenda{"start by schedule", s.store.NextStart, s.startFor} }

// rescheduled tells who waits for the times of workspaces that there are others.
func (s *Server) rescheduled(workspace uuid.UUID) {
	s.deadlines.changed(uuid.Nil)
	s.events.changed(workspace)
}

// inTime does what an agenda says, until ctx ends. It sleeps from one time to
// the next.
func (s *Server) inTime(ctx context.Context, a agenda) {
	changed, stop := s.deadlines.watch(uuid.Nil)
	defer stop()
	later := map[uuid.UUID]time.Time{} // those that are left alone
	for ctx.Err() == nil {
		wait := s.doDue(ctx, a, later)
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// doDue does what is due, and returns how long to wait for more.
func (s *Server) doDue(ctx context.Context, a agenda, later map[uuid.UUID]time.Time) (wait time.Duration) {
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
		id, when, err := a.next(ctx, without)
		if err != nil {
			s.log.Error("times of workspaces not known", "err", err)
			return againAfter
		}
		if id == uuid.Nil {
			return wait
		}
		if left := time.Until(when); left > 0 {
			return min(wait, left)
		}
		if err := a.act(ctx, id); err != nil {
			s.log.Warn("workspace not changed in time", "workspace", id, "what", a.what, "err", err)
		}
		without, wait = append(without, id), min(wait, againAfter)
		later[id] = time.Now().Add(againAfter)
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

// startFor starts a workspace whose time has come, if it is stopped, and has it
// wait for the next time. While another build is under way it is left for later.
func (s *Server) startFor(ctx context.Context, workspace uuid.UUID) error {
	ws, err := s.store.WorkspaceByID(ctx, workspace)
	if err != nil {
		return err
	}
	if ws.Waits() || ws.LatestBuild.Job.Status.Active() {
		if err := s.startScheduled(ctx, ws); err != nil {
			return err
		}
	}
	next, err := nextStart(ws.AutostartSchedule, time.Now())
	if err != nil {
		s.log.Warn("workspace does not start by itself any more", "workspace", workspace, "schedule", ws.AutostartSchedule, "err", err)
	}
	if err := s.store.PassStart(ctx, workspace, ws.NextStartAt, next); !errors.Is(err, store.ErrNotFound) {
		return err // else the schedule has changed meanwhile
	}
	return nil
}

func (s *Server) startScheduled(ctx context.Context, ws store.Workspace) error {
	done, err := byoResult(store.TransitionStart, ws.LatestBuild.Parameters)
	if err != nil {
		return err
	}
	n := store.NewBuild{
		Transition: store.TransitionStart, Reason: "autostart", InitiatorID: ws.OwnerID, Scheduled: ws.NextStartAt, Done: done,
	}
	if ws.AutomaticUpdates == store.UpdateAlways {
		n.TemplateVersionID = ws.Template.ActiveVersionID
	}
	b, err := s.store.CreateBuild(ctx, ws.ID, n)
	if err != nil {
		return err
	}
	s.log.Info("workspace started by its schedule", "workspace", ws.Name, "owner", ws.Owner.Username, "build", b.Number)
	s.built(ws, store.TransitionStart)
	return nil
}

// nextStart is when a schedule starts a workspace next; the zero time for an
// empty one.
func nextStart(schedule string, now time.Time) (time.Time, error) {
	if schedule == "" {
		return time.Time{}, nil
	}
	s, err := api.ParseSchedule(schedule)
	if err != nil {
		return time.Time{}, err
	}
	return s.Next(now)
}
