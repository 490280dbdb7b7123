package store

import (
	"cmp"
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// lastUsedEvery is how often the use of a workspace is written down.
const lastUsedEvery = time.Minute

// Workspace is a row of workspaces.
type Workspace struct {
	ID             uuid.UUID `bun:",pk"`
	OwnerID        uuid.UUID
	OrganizationID uuid.UUID
	TemplateID     uuid.UUID
	LatestBuildID  uuid.UUID
	Name           string
	CreatedAt      time.Time
	UpdatedAt      time.Time
	LastUsedAt     time.Time
	TTLSeconds     int64     // how long it runs after a start; 0 is for ever
	DeletedAt      time.Time `bun:",nullzero"`

	AutostartSchedule string    // when it starts by itself, as api.Schedule writes it; empty is never
	NextStartAt       time.Time `bun:",nullzero"` // by the schedule, whether it is stopped then or not
	AutomaticUpdates  string    // UpdateAlways or UpdateNever
	Favorite          bool      // of its owner

	Owner        *User         `bun:"rel:belongs-to,join:owner_id=id"`
	Organization *Organization `bun:"rel:belongs-to,join:organization_id=id"`
	Template     *Template     `bun:"rel:belongs-to,join:template_id=id"` // without its own pointers
	LatestBuild  *Build        `bun:"rel:belongs-to,join:latest_build_id=id"`
}

// NewWorkspace is what CreateWorkspace needs to know.
type NewWorkspace struct {
	ID         uuid.UUID // zero makes one
	OwnerID    uuid.UUID
	TemplateID uuid.UUID
	Name       string
	TTL        time.Duration // 0: it never stops by itself

	AutostartSchedule string // empty: it never starts by itself
	NextStartAt       time.Time
	AutomaticUpdates  string // empty means never
}

// CreateWorkspace adds a workspace and its first build. Errors: *InvalidError
// or *ConflictError of name, in any case; ErrNotFound for an owner, template or
// version that is not there.
func (s *Store) CreateWorkspace(ctx context.Context, n NewWorkspace, b NewBuild) (Workspace, error) {
	if err := CheckWorkspaceName(n.Name); err != nil {
		return Workspace{}, err
	}
	if n.ID == uuid.Nil {
		n.ID = uuid.New()
	}
	var w Workspace
	err := s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := lockUser(ctx, tx, n.OwnerID); err != nil {
			return err
		}
		t := Template{ID: n.TemplateID}
		if err := tx.NewSelect().Model(&t).WherePK().Where("deleted_at IS NULL").Scan(ctx); err != nil {
			return err
		}
		w = Workspace{
			ID: n.ID, OwnerID: n.OwnerID, OrganizationID: t.OrganizationID, TemplateID: t.ID,
			Name: n.Name, CreatedAt: now(), TTLSeconds: int64(n.TTL / time.Second),
			AutostartSchedule: n.AutostartSchedule, NextStartAt: at(n.NextStartAt), AutomaticUpdates: cmp.Or(n.AutomaticUpdates, UpdateNever),
		}
		w.UpdatedAt, w.LastUsedAt = w.CreatedAt, w.CreatedAt
		if _, err := tx.NewInsert().Model(&w).Exec(ctx); err != nil {
			return err
		}
		if err := s.addBuild(ctx, tx, w, b); err != nil {
			return err
		}
		return workspaceQuery(tx, &w).Where("workspace.id = ?", w.ID).Scan(ctx)
	})
	return w, err
}

// WorkspaceByID returns a workspace, also a deleted one (see DeletedAt), or
// ErrNotFound.
func (s *Store) WorkspaceByID(ctx context.Context, id uuid.UUID) (Workspace, error) {
	var w Workspace
	err := workspaceQuery(s.read, &w).Where("workspace.id = ?", id).Scan(ctx)
	return w, translate(err)
}

// WorkspaceByName finds a name in any case, or returns ErrNotFound. With
// includeDeleted it is the one that is there or, if none is, the newest
// deleted one.
func (s *Store) WorkspaceByName(ctx context.Context, owner uuid.UUID, name string, includeDeleted bool) (Workspace, error) {
	var w Workspace
	q := workspaceQuery(s.read, &w).
		Where("workspace.owner_id = ? AND lower(workspace.name) = lower(?)", owner, plain(name)).
		OrderExpr("CASE WHEN workspace.deleted_at IS NULL THEN 0 ELSE 1 END, workspace.deleted_at DESC")
	if !includeDeleted {
		q.Where("workspace.deleted_at IS NULL")
	}
	err := q.Limit(1).Scan(ctx)
	return w, translate(err)
}

// workspaceQuery reads workspaces with all that the Workspace says is set.
func workspaceQuery(db bun.IDB, model any) *bun.SelectQuery {
	return db.NewSelect().Model(model).
		Relation("Owner").Relation("Organization").Relation("Template").
		Relation("LatestBuild").Relation("LatestBuild.Job").Relation("LatestBuild.Version").
		Relation("LatestBuild.Initiator").Relation("LatestBuild.Resources", byName).
		Relation("LatestBuild.Resources.Agents", byName)
}

func byName(q *bun.SelectQuery) *bun.SelectQuery { return q.Order("name") }

// RenameWorkspace returns *InvalidError or *ConflictError of name, or
// ErrNotFound for an unknown or deleted workspace.
func (s *Store) RenameWorkspace(ctx context.Context, id uuid.UUID, name string) error {
	if err := CheckWorkspaceName(name); err != nil {
		return err
	}
	q := s.write.NewUpdate().Model((*Workspace)(nil)).Set("name = ?, updated_at = ?", name, now())
	return changeOne(ctx, q.Where("id = ? AND deleted_at IS NULL", id))
}

// TouchWorkspace writes down that the workspace was used, at most once a
// minute, and reports whether it wrote.
func (s *Store) TouchWorkspace(ctx context.Context, id uuid.UUID, used time.Time) (bool, error) {
	q := s.write.NewUpdate().Model((*Workspace)(nil)).Set("last_used_at = ?", at(used))
	return changeAny(ctx, q.Where("id = ? AND last_used_at <= ?", id, at(used).Add(-lastUsedEvery)))
}
