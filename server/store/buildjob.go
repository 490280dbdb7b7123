package store

import (
	"context"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// BuildResult is what a build leaves behind.
type BuildResult struct {
	State     []byte // nil keeps what the build began with
	Resources []NewResource

	// KeepAgents lets an agent that an earlier build of the workspace had under
	// the same name live on: same id, same token, same connection facts; only
	// what the template says about it is replaced. For machines that outlive
	// builds: their agent need not be given a new token, and since its id is
	// its address on the tailnet, sessions go on. Without it every agent is new.
	KeepAgents bool
}

// StartBuild moves a pending build to running. A build in another state is a
// *ConflictError of status, an unknown one ErrNotFound; so too in the other
// methods that move builds.
func (s *Store) StartBuild(ctx context.Context, id uuid.UUID) error {
	return s.moveBuild(ctx, id, func(ctx context.Context, tx bun.Tx, b Build) error {
		return moveJob(ctx, tx, b.JobID, []JobStatus{JobPending}, "status = ?, started_at = ?", JobRunning, now())
	})
}

// CompleteBuild ends an active build with success, and keeps its result. A
// delete makes the workspace deleted.
func (s *Store) CompleteBuild(ctx context.Context, id uuid.UUID, r BuildResult) error {
	return s.moveBuild(ctx, id, func(ctx context.Context, tx bun.Tx, b Build) error {
		return s.completeBuild(ctx, tx, b, r)
	})
}

func (s *Store) completeBuild(ctx context.Context, tx bun.Tx, b Build, r BuildResult) error {
	err := moveJob(ctx, tx, b.JobID, activeStatuses,
		"status = ?, started_at = COALESCE(started_at, ?), completed_at = ?", JobSucceeded, now(), now())
	if err != nil {
		return err
	}
	if err := keepState(ctx, tx, b, r.State); err != nil {
		return err
	}
	if b.Transition == TransitionDelete {
		return deleteWorkspace(ctx, tx, b.WorkspaceID)
	}
	if b.Transition == TransitionStart {
		if err := setDeadline(ctx, tx, b.WorkspaceID, b.ID); err != nil {
			return err
		}
	}
	return s.addResources(ctx, tx, b, r)
}

// FailBuild ends an active build: as canceled when that was asked for, else as
// failed with the message and code. The state is kept, because a failed run
// may have made things; nil keeps what the build began with.
func (s *Store) FailBuild(ctx context.Context, id uuid.UUID, message, code string, state []byte) error {
	return s.moveBuild(ctx, id, func(ctx context.Context, tx bun.Tx, b Build) error {
		err := moveJob(ctx, tx, b.JobID, activeStatuses,
			"status = CASE status WHEN ? THEN ? ELSE ? END, error = ?, error_code = ?, completed_at = ?",
			JobCanceling, JobCanceled, JobFailed, plain(message), code, now())
		if err != nil {
			return err
		}
		return keepState(ctx, tx, b, state)
	})
}

// CancelBuild ends a pending build, and marks a running one as canceling until
// whoever runs it ends it.
func (s *Store) CancelBuild(ctx context.Context, id uuid.UUID) error {
	return s.moveBuild(ctx, id, func(ctx context.Context, tx bun.Tx, b Build) error {
		return moveJob(ctx, tx, b.JobID, []JobStatus{JobPending, JobRunning},
			"status = CASE status WHEN ? THEN ? ELSE ? END, canceled_at = ?, completed_at = CASE status WHEN ? THEN ? ELSE completed_at END",
			JobPending, JobCanceled, JobCanceling, now(), JobPending, now())
	})
}

func (s *Store) moveBuild(ctx context.Context, id uuid.UUID, move func(ctx context.Context, tx bun.Tx, b Build) error) error {
	return s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		b := Build{ID: id}
		if err := tx.NewSelect().Model(&b).WherePK().Scan(ctx); err != nil {
			return err
		}
		if err := move(ctx, tx, b); err != nil {
			return err
		}
		return changeOne(ctx, tx.NewUpdate().Model((*Build)(nil)).Set("updated_at = ?", now()).Where("id = ?", id))
	})
}

func keepState(ctx context.Context, tx bun.Tx, b Build, state []byte) error {
	if state == nil {
		return nil
	}
	return changeOne(ctx, tx.NewUpdate().Model((*Build)(nil)).Set("state = ?", state).Where("id = ?", b.ID))
}

// deleteWorkspace marks it deleted, which frees its name and kills the tokens
// of its agents. The hashes stay, so that an agent that comes back is told that
// it is over; the sealed tokens are forgotten.
func deleteWorkspace(ctx context.Context, tx bun.Tx, id uuid.UUID) error {
	q := tx.NewUpdate().Model((*Workspace)(nil)).Set("deleted_at = ?, updated_at = ?", now(), now()).Where("id = ?", id)
	if err := changeOne(ctx, q); err != nil {
		return err
	}
	_, err := tx.NewUpdate().Model((*Agent)(nil)).Set("token_sealed = NULL").Where("id IN (?)", agentsOf(tx, id)).Exec(ctx)
	return err
}
