package store

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// TemplateLimits are what a template lets its workspaces do when they are used.
type TemplateLimits struct {
	// ActivityBump is how long a workspace goes on after its last use, in whole
	// seconds; 0 means that use puts its stop off in no way.
	ActivityBump time.Duration

	// MaxLease is how long one lease may last, with its renewals.
	MaxLease time.Duration
}

// Limits are those of the template.
func (t Template) Limits() TemplateLimits {
	return TemplateLimits{
		ActivityBump: time.Duration(t.ActivityBumpSeconds) * time.Second,
		MaxLease:     time.Duration(t.MaxLeaseSeconds) * time.Second,
	}
}

// LimitsOf returns those of a workspace's template. ErrNotFound for an unknown
// workspace.
func (s *Store) LimitsOf(ctx context.Context, workspace uuid.UUID) (TemplateLimits, error) {
	var t Template
	err := s.read.NewSelect().Model(&t).Column("activity_bump_seconds", "max_lease_seconds").
		Join("JOIN workspaces AS w ON w.template_id = template.id").Where("w.id = ?", workspace).Scan(ctx)
	return t.Limits(), translate(err)
}

// SetLimits changes those of a template. They hold from now on, for leases that
// there are when they are renewed. ErrNotFound for an unknown or deleted
// template.
func (s *Store) SetLimits(ctx context.Context, template uuid.UUID, l TemplateLimits) error {
	q := s.write.NewUpdate().Model((*Template)(nil)).
		Set("activity_bump_seconds = ?, max_lease_seconds = ?", int64(l.ActivityBump/time.Second), int64(l.MaxLease/time.Second)).
		Set("updated_at = ?", now())
	return changeOne(ctx, q.Where("id = ? AND deleted_at IS NULL", template))
}
