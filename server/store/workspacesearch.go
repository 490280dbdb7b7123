package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// WorkspaceFilter selects workspaces; zero fields select all that are not
// deleted.
type WorkspaceFilter struct {
	OwnerID        uuid.UUID
	Owner          string // username, in any case
	Name           string // part of the name, in any case
	ExactName      string // the name, in any case
	Template       string // name of the template, in any case
	OrganizationID uuid.UUID
	IDs            []uuid.UUID
	Status         BuildStatus // of the latest build; StatusDeleted selects deleted ones too
	IncludeDeleted bool
	Outdated       *bool // whether the latest build is of another version than the active one
	ExternalAgent  *bool // whether the version of the latest build has agents that are started by hand
	UsedAfter      time.Time
	UsedBefore     time.Time

	FavoritesOf uuid.UUID // list what this user likes best first

	Limit  int // 0 and more than 1000 mean 1000
	Offset int
}

// Workspaces lists favorites first, then running ones, then by owner and name,
// and counts all that the filter selects, whatever Limit and Offset say. An unknown status is
// an *InvalidError.
func (s *Store) Workspaces(ctx context.Context, f WorkspaceFilter) ([]Workspace, int, error) {
	if f.Status != "" && !f.Status.valid() {
		return nil, 0, &InvalidError{Field: "status", Detail: fmt.Sprintf("unknown status %q", f.Status)}
	}
	count, err := s.read.NewSelect().Model((*Workspace)(nil)).
		Relation("Owner").Relation("Template").Relation("LatestBuild.Job").Apply(f.apply).Count(ctx)
	if err != nil {
		return nil, 0, translate(err)
	}
	list := []Workspace{}
	err = workspaceQuery(s.read, &list).Apply(f.apply).
		OrderExpr("CASE WHEN workspace.favorite AND workspace.owner_id = ? THEN 0 ELSE 1 END", f.FavoritesOf).
		OrderExpr("CASE WHEN ? THEN 0 ELSE 1 END", statusIs(StatusRunning)).
		OrderExpr("lower(owner.username), lower(workspace.name), workspace.id").
		Limit(page(f.Limit)).Offset(int64(f.Offset)).Scan(ctx)
	return list, int(count), translate(err)
}

func (f WorkspaceFilter) apply(q *bun.SelectQuery) *bun.SelectQuery {
	if !f.IncludeDeleted && f.Status != StatusDeleted {
		q.Where("workspace.deleted_at IS NULL")
	}
	if f.OwnerID != uuid.Nil {
		q.Where("workspace.owner_id = ?", f.OwnerID)
	}
	if f.OrganizationID != uuid.Nil {
		q.Where("workspace.organization_id = ?", f.OrganizationID)
	}
	if f.IDs != nil {
		q.Where("workspace.id IN (?)", bun.List(f.IDs))
	}
	if f.Status != "" {
		q.Where("?", statusIs(f.Status))
	}
	return f.applyNames(f.applyUse(q))
}

func (f WorkspaceFilter) applyUse(q *bun.SelectQuery) *bun.SelectQuery {
	if f.Outdated != nil {
		q.Where("(latest_build.template_version_id <> template.active_version_id) = ?", *f.Outdated)
	}
	if f.ExternalAgent != nil {
		q.Where("latest_build.template_version_id IN (SELECT id FROM template_versions WHERE has_external_agent = ?)", *f.ExternalAgent)
	}
	if !f.UsedAfter.IsZero() {
		q.Where("workspace.last_used_at > ?", at(f.UsedAfter))
	}
	if !f.UsedBefore.IsZero() {
		q.Where("workspace.last_used_at < ?", at(f.UsedBefore))
	}
	return q
}

func (f WorkspaceFilter) applyNames(q *bun.SelectQuery) *bun.SelectQuery {
	if f.Owner != "" {
		q.Where("lower(owner.username) = lower(?)", plain(f.Owner))
	}
	if f.ExactName != "" {
		q.Where("lower(workspace.name) = lower(?)", plain(f.ExactName))
	}
	if f.Name != "" {
		q.Where(`lower(workspace.name) LIKE ? ESCAPE '\'`, contains(f.Name))
	}
	if f.Template != "" {
		q.Where("lower(template.name) = lower(?)", plain(f.Template))
	}
	return q
}
