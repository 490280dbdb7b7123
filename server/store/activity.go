package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// keptExtensions is how many extensions of a workspace are kept: enough to see
// what has kept it up for days.
const keptExtensions = 50

// maxLeases bounds the leases of one workspace at once.
const maxLeases = 100

// Extension is a row of extensions: a deadline that was put off, and why.
type Extension struct {
	WorkspaceID uuid.UUID `bun:",pk"`
	ID          int64     `bun:",pk"` // 1, 2, 3 of its workspace
	CreatedAt   time.Time
	Cause       string
	Deadline    time.Time // the new one
}

// Lease is a row of leases: somebody who wants a workspace to go on.
type Lease struct {
	ID          uuid.UUID `bun:",pk"`
	WorkspaceID uuid.UUID
	Holder      string // a user, or the agent
	Reason      string
	CreatedAt   time.Time
	ExpiresAt   time.Time // when it ends unless it is renewed
}

// SetTTL sets how long a workspace runs after its start, 0 for ever. The deadline
// of one that runs stays, if it has one and should have one. ErrNotFound for an
// unknown or deleted workspace.
func (s *Store) SetTTL(ctx context.Context, workspace uuid.UUID, ttl time.Duration) error {
	return s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		q := tx.NewUpdate().Model((*Workspace)(nil)).Set("ttl_seconds = ?, updated_at = ?", int64(ttl/time.Second), now())
		if err := changeOne(ctx, q.Where("id = ? AND deleted_at IS NULL", workspace)); err != nil {
			return err
		}
		var b Build
		if err := latestBuild(ctx, tx, &b, workspace); err != nil {
			return err
		}
		if b.Status() != StatusRunning || ttl > 0 && !b.Deadline.IsZero() {
			return nil
		}
		return setDeadline(ctx, tx, workspace, b.ID)
	})
}

// setDeadline gives a start the deadline that the workspace's TTL and leases
// make, or none.
func setDeadline(ctx context.Context, tx bun.Tx, workspace, build uuid.UUID) error {
	w := Workspace{ID: workspace}
	if err := tx.NewSelect().Model(&w).Column("ttl_seconds").WherePK().Scan(ctx); err != nil {
		return err
	}
	q := tx.NewUpdate().Model((*Build)(nil)).Where("id = ?", build)
	if w.TTLSeconds == 0 {
		return changeOne(ctx, q.Set("deadline = NULL"))
	}
	deadline := now().Add(time.Duration(w.TTLSeconds) * time.Second)
	var leases []Lease
	if err := tx.NewSelect().Model(&leases).Where("workspace_id = ? AND expires_at > ?", workspace, at(deadline)).Scan(ctx); err != nil {
		return err
	}
	for _, l := range leases {
		if l.ExpiresAt.After(deadline) {
			deadline = l.ExpiresAt
		}
	}
	return changeOne(ctx, q.Set("deadline = ?", at(deadline)))
}

// Extend puts the deadline of a running workspace off to until, if that is
// later, writes down why and reports whether it did. A workspace without a
// deadline, one that is stopped and an unknown one have none to put off.
func (s *Store) Extend(ctx context.Context, workspace uuid.UUID, until time.Time, cause string) (extended bool, err error) {
	err = s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		extended, err = extend(ctx, tx, workspace, until, cause)
		return err
	})
	return extended, err
}

func extend(ctx context.Context, tx bun.Tx, workspace uuid.UUID, until time.Time, cause string) (bool, error) {
	until = at(until)
	q := tx.NewUpdate().Model((*Build)(nil)).Set("deadline = ?", until).
		Where("id = (SELECT latest_build_id FROM workspaces WHERE id = ? AND deleted_at IS NULL)", workspace).
		Where("deadline < ?", until)
	extended, err := changeAny(ctx, q)
	if err != nil || !extended {
		return false, err
	}
	var last sql.NullInt64
	err = tx.NewSelect().Model((*Extension)(nil)).ColumnExpr("max(id)").Where("workspace_id = ?", workspace).Scan(ctx, &last)
	if err != nil {
		return false, err
	}
	e := Extension{WorkspaceID: workspace, ID: last.Int64 + 1, CreatedAt: now(), Cause: plain(cause), Deadline: until}
	if _, err := tx.NewInsert().Model(&e).Exec(ctx); err != nil {
		return false, err
	}
	_, err = tx.NewDelete().Model((*Extension)(nil)).Where("workspace_id = ? AND id <= ?", workspace, e.ID-keptExtensions).Exec(ctx)
	return true, err
}

// Extensions are those of a workspace that are kept, the newest first.
func (s *Store) Extensions(ctx context.Context, workspace uuid.UUID) ([]Extension, error) {
	list := []Extension{}
	err := s.read.NewSelect().Model(&list).Where("workspace_id = ?", workspace).Order("id DESC").Scan(ctx)
	return list, translate(err)
}

// CreateLease writes a lease down, and puts the deadline off to its end.
// *ConflictError of lease when the workspace has too many.
func (s *Store) CreateLease(ctx context.Context, l Lease) (Lease, error) {
	l.ID, l.CreatedAt, l.ExpiresAt = uuid.New(), now(), at(l.ExpiresAt)
	l.Holder, l.Reason = plain(l.Holder), plain(l.Reason)
	err := s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewDelete().Model((*Lease)(nil)).Where("workspace_id = ? AND expires_at <= ?", l.WorkspaceID, now()).Exec(ctx); err != nil {
			return err
		}
		n, err := tx.NewSelect().Model((*Lease)(nil)).Where("workspace_id = ?", l.WorkspaceID).Count(ctx)
		switch {
		case err != nil:
			return err
		case n >= maxLeases:
			return &ConflictError{Field: "lease"}
		}
		if _, err := tx.NewInsert().Model(&l).Exec(ctx); err != nil {
			return err
		}
		_, err = extend(ctx, tx, l.WorkspaceID, l.ExpiresAt, l.cause())
		return err
	})
	return l, err
}

func (l Lease) cause() string {
	if l.Reason == "" {
		return "lease of " + l.Holder
	}
	return fmt.Sprintf("lease of %s: %s", l.Holder, l.Reason)
}

// RenewLease puts the end of a lease of a workspace off. ErrNotFound for one that
// has ended.
func (s *Store) RenewLease(ctx context.Context, workspace, id uuid.UUID, until time.Time) (Lease, error) {
	var l Lease
	err := s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		q := tx.NewUpdate().Model((*Lease)(nil)).Set("expires_at = ?", at(until))
		if err := changeOne(ctx, q.Where("id = ? AND workspace_id = ? AND expires_at > ?", id, workspace, now())); err != nil {
			return err
		}
		if err := tx.NewSelect().Model(&l).Where("id = ?", id).Scan(ctx); err != nil {
			return err
		}
		_, err := extend(ctx, tx, workspace, l.ExpiresAt, l.cause())
		return err
	})
	return l, err
}

// LeaseByID returns a lease of a workspace, or ErrNotFound.
func (s *Store) LeaseByID(ctx context.Context, workspace, id uuid.UUID) (Lease, error) {
	var l Lease
	err := s.read.NewSelect().Model(&l).Where("id = ? AND workspace_id = ?", id, workspace).Scan(ctx)
	return l, translate(err)
}

// EndLease ends a lease of a workspace. Its deadline stays as it is. ErrNotFound
// for one that has ended.
func (s *Store) EndLease(ctx context.Context, workspace, id uuid.UUID) error {
	return changeOneDelete(ctx, s.write.NewDelete().Model((*Lease)(nil)).Where("id = ? AND workspace_id = ?", id, workspace))
}

func changeOneDelete(ctx context.Context, q *bun.DeleteQuery) error {
	res, err := q.Exec(ctx)
	if err != nil {
		return translate(err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, ErrNotFound)
	}
	return nil
}

// Leases are those of a workspace that last, the oldest first.
func (s *Store) Leases(ctx context.Context, workspace uuid.UUID) ([]Lease, error) {
	list := []Lease{}
	err := s.read.NewSelect().Model(&list).Where("workspace_id = ? AND expires_at > ?", workspace, now()).Order("created_at").Scan(ctx)
	return list, translate(err)
}

// NextDeadline is the earliest deadline of a workspace that runs, with its id;
// the zero time when there is none. Some workspaces can be left out.
func (s *Store) NextDeadline(ctx context.Context, without []uuid.UUID) (workspace uuid.UUID, deadline time.Time, err error) {
	var w Workspace
	q := s.read.NewSelect().Model(&w).Relation("LatestBuild").Relation("LatestBuild.Job").
		Where("workspace.deleted_at IS NULL AND latest_build.deadline IS NOT NULL AND latest_build.transition = ?", TransitionStart)
	if len(without) > 0 {
		q.Where("workspace.id NOT IN (?)", bun.List(without))
	}
	err = translate(q.Order("latest_build.deadline").Limit(1).Scan(ctx))
	if errors.Is(err, ErrNotFound) {
		return uuid.Nil, time.Time{}, nil
	}
	if err != nil {
		return uuid.Nil, time.Time{}, err
	}
	return w.ID, w.LatestBuild.Deadline, nil
}
