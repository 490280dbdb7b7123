package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// maxJobLogs is how many bytes of output a job may log: a page and a database
// row away from trouble, and far more than a build that works says.
const maxJobLogs = 1 << 20

// JobLog is a row of job_logs: one line.
type JobLog struct {
	JobID     uuid.UUID `bun:",pk"`
	ID        int64     `bun:",pk"` // 1, 2, 3 of its job
	CreatedAt time.Time
	Source    string // provisioner_daemon or provisioner
	Level     string // trace, debug, info, warn or error
	Stage     string
	Output    string
}

// AppendJobLogs adds lines to the log of a job and returns them with their
// numbers. Lines that would take the log beyond 1 MiB of output are dropped,
// with all that come later, and LogsOverflowed is set. ErrNotFound for an
// unknown job.
func (s *Store) AppendJobLogs(ctx context.Context, job uuid.UUID, lines []JobLog) ([]JobLog, error) {
	var kept []JobLog
	err := s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		j := Job{ID: job}
		// The update holds the row, so that numbers become visible in order.
		q := tx.NewUpdate().Model((*Job)(nil)).Set("updated_at = ?", now()).Where("id = ?", job)
		if err := changeOne(ctx, q); err != nil {
			return err
		}
		if err := tx.NewSelect().Model(&j).WherePK().Scan(ctx); err != nil {
			return err
		}
		kept = j.appendLogs(lines)
		_, err := tx.NewUpdate().Model(&j).Column("last_log_id", "logs_bytes", "logs_overflowed").WherePK().Exec(ctx)
		if err != nil || len(kept) == 0 {
			return err
		}
		_, err = tx.NewInsert().Model(&kept).Exec(ctx)
		return err
	})
	return kept, err
}

// appendLogs numbers the lines that fit, and counts them into j.
func (j *Job) appendLogs(lines []JobLog) []JobLog {
	kept := make([]JobLog, 0, len(lines))
	for _, l := range lines {
		l.Output, l.Stage = plain(l.Output), plain(l.Stage)
		if j.LogsOverflowed = j.LogsOverflowed || j.LogsBytes+int64(len(l.Output)) > maxJobLogs; j.LogsOverflowed {
			break
		}
		j.LastLogID++
		j.LogsBytes += int64(len(l.Output))
		l.JobID, l.ID, l.CreatedAt = j.ID, j.LastLogID, at(l.CreatedAt)
		kept = append(kept, l)
	}
	return kept
}

// JobLogs returns at most 1000 lines of a job with numbers above after, in
// order; none are left when it returns fewer.
func (s *Store) JobLogs(ctx context.Context, job uuid.UUID, after int64) ([]JobLog, error) {
	list := []JobLog{}
	err := s.read.NewSelect().Model(&list).Where("job_id = ? AND id > ?", job, after).Order("id").Limit(MaxPage).Scan(ctx)
	return list, translate(err)
}
