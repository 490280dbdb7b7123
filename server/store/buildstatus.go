package store

import (
	"slices"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// Transition is what a build does to its workspace.
type Transition string

const (
	TransitionStart  Transition = "start"
	TransitionStop   Transition = "stop"
	TransitionDelete Transition = "delete"
)

// BuildStatus is the one word for where a workspace is, made of the transition
// and the job's status.
type BuildStatus string

const (
	StatusPending   BuildStatus = "pending"
	StatusStarting  BuildStatus = "starting"
	StatusRunning   BuildStatus = "running"
	StatusStopping  BuildStatus = "stopping"
	StatusStopped   BuildStatus = "stopped"
	StatusDeleting  BuildStatus = "deleting"
	StatusDeleted   BuildStatus = "deleted"
	StatusFailed    BuildStatus = "failed"
	StatusCanceling BuildStatus = "canceling"
	StatusCanceled  BuildStatus = "canceled"
)

// words are the statuses of a running and a succeeded job; in the others the
// job's status is the word.
var words = map[Transition][2]BuildStatus{
	TransitionStart:  {StatusStarting, StatusRunning},
	TransitionStop:   {StatusStopping, StatusStopped},
	TransitionDelete: {StatusDeleting, StatusDeleted},
}

// StatusOf is the status of a build that does t and whose job is in state j.
func StatusOf(t Transition, j JobStatus) BuildStatus {
	switch j {
	case JobRunning:
		return words[t][0]
	case JobSucceeded:
		return words[t][1]
	}
	return BuildStatus(j)
}

func (s BuildStatus) valid() bool {
	return slices.Contains([]BuildStatus{
		StatusPending, StatusStarting, StatusRunning, StatusStopping, StatusStopped,
		StatusDeleting, StatusDeleted, StatusFailed, StatusCanceling, StatusCanceled,
	}, s)
}

// statusIs is the SQL condition that the latest build of a workspace has a
// status; it is StatusOf the other way round.
func statusIs(s BuildStatus) schema.QueryWithArgs {
	for t, w := range words {
		for i, job := range []JobStatus{JobRunning, JobSucceeded} {
			if w[i] == s {
				return bun.SafeQuery("latest_build.transition = ? AND latest_build__job.status = ?", t, job)
			}
		}
	}
	return bun.SafeQuery("latest_build__job.status = ?", s)
}
