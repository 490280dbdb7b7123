package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// JobType is what a job does.
type JobType string

const (
	JobImport JobType = "template_version_import"
	JobBuild  JobType = "workspace_build"
)

// JobStatus goes one way:
//
//	pending ─▶ running ─▶ succeeded
//	   │          ├─────▶ failed
//	   │          └─▶ canceling ─▶ canceled (or succeeded: it was too late)
//	   └─────────────────────────▶ canceled
//
// A job may also go from pending to succeeded or failed.
type JobStatus string

const (
	JobPending   JobStatus = "pending"
	JobRunning   JobStatus = "running"
	JobSucceeded JobStatus = "succeeded"
	JobFailed    JobStatus = "failed"
	JobCanceling JobStatus = "canceling"
	JobCanceled  JobStatus = "canceled"
)

// activeStatuses are those in which a job may still do something.
var activeStatuses = []JobStatus{JobPending, JobRunning, JobCanceling}

// Active reports whether the job may still do something.
func (s JobStatus) Active() bool {
	return s == JobPending || s == JobRunning || s == JobCanceling
}

// Job is a row of jobs: the work behind a build or a template version.
type Job struct {
	ID             uuid.UUID `bun:",pk"`
	OrganizationID uuid.UUID
	InitiatorID    uuid.UUID `bun:",nullzero"` // none: the system
	Type           JobType
	Status         JobStatus
	Error          string
	ErrorCode      string
	CreatedAt      time.Time
	UpdatedAt      time.Time
	StartedAt      time.Time `bun:",nullzero"`
	CompletedAt    time.Time `bun:",nullzero"` // also of a failed or canceled one
	CanceledAt     time.Time `bun:",nullzero"` // when it was asked for

	LastLogID      int64
	LogsBytes      int64
	LogsOverflowed bool
}

func newJob(typ JobType, organization, initiator uuid.UUID) Job {
	j := Job{
		ID: uuid.New(), OrganizationID: organization, InitiatorID: initiator,
		Type: typ, Status: JobPending, CreatedAt: now(),
	}
	j.UpdatedAt = j.CreatedAt
	return j
}

// finished is j after success at the time it was made: there was nothing to do.
func (j Job) finished() Job {
	j.Status, j.StartedAt, j.CompletedAt = JobSucceeded, j.CreatedAt, j.CreatedAt
	return j
}

// moveJob changes the status of a job that is in one of the from states, and
// keeps others from doing so until tx ends. A job in another state is a
// *ConflictError of status.
func moveJob(ctx context.Context, tx bun.Tx, id uuid.UUID, from []JobStatus, set string, args ...any) error {
	q := tx.NewUpdate().Model((*Job)(nil)).Set(set, args...).Set("updated_at = ?", now())
	moved, err := changeAny(ctx, q.Where("id = ?", id).Where("status IN (?)", bun.List(from)))
	if err == nil && !moved {
		return &ConflictError{Field: "status"}
	}
	return err
}
