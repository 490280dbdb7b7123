package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// What starts that name no version run: the active version of the template, or
// that of the build before.
const (
	UpdateAlways = "always"
	UpdateNever  = "never"
)

// SetFavorite says whether the owner likes a workspace best. ErrNotFound for an
// unknown or deleted workspace, as for the other settings.
func (s *Store) SetFavorite(ctx context.Context, workspace uuid.UUID, favorite bool) error {
	return s.set(ctx, workspace, "favorite = ?", favorite)
}

// SetAutomaticUpdates takes UpdateAlways or UpdateNever.
func (s *Store) SetAutomaticUpdates(ctx context.Context, workspace uuid.UUID, updates string) error {
	return s.set(ctx, workspace, "automatic_updates = ?", updates)
}

// SetAutostart sets when a workspace starts by itself, and when it does next; an
// empty schedule and the zero time are never.
func (s *Store) SetAutostart(ctx context.Context, workspace uuid.UUID, schedule string, next time.Time) error {
	return s.set(ctx, workspace, "autostart_schedule = ?, next_start_at = ?", schedule, orNull(next))
}

func (s *Store) set(ctx context.Context, workspace uuid.UUID, set string, args ...any) error {
	q := s.write.NewUpdate().Model((*Workspace)(nil)).Set(set, args...).Set("updated_at = ?", now())
	return changeOne(ctx, q.Where("id = ? AND deleted_at IS NULL", workspace))
}

// PassStart puts the next start off, from one time to another. ErrNotFound when
// it was another time already: the schedule has changed.
func (s *Store) PassStart(ctx context.Context, workspace uuid.UUID, from, to time.Time) error {
	q := s.write.NewUpdate().Model((*Workspace)(nil)).Set("next_start_at = ?", orNull(to))
	return changeOne(ctx, q.Where("id = ? AND next_start_at = ?", workspace, at(from)))
}

// NextStart is the earliest time at which a workspace is to start by its
// schedule, with its id; the zero time when there is none. Some workspaces can be
// left out.
func (s *Store) NextStart(ctx context.Context, without []uuid.UUID) (workspace uuid.UUID, start time.Time, err error) {
	var w Workspace
	q := s.read.NewSelect().Model(&w).Where("deleted_at IS NULL AND next_start_at IS NOT NULL")
	if len(without) > 0 {
		q.Where("id NOT IN (?)", bun.List(without))
	}
	err = translate(q.Order("next_start_at").Limit(1).Scan(ctx))
	if errors.Is(err, ErrNotFound) {
		return uuid.Nil, time.Time{}, nil
	}
	return w.ID, w.NextStartAt, err
}

// Waits reports whether a schedule may start the workspace: it was stopped, and
// its owner is active. A build that failed waits for somebody to look.
func (w *Workspace) Waits() bool {
	return w.LatestBuild.Status() == StatusStopped && w.Owner.Status == UserActive
}

// orNull is t as both databases keep it, NULL for the zero time.
func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return at(t)
}
