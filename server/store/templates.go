package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// The template that every deployment has, for machines that exist already:
// no infrastructure, one agent that the user starts by hand. Its ids are the
// same everywhere, so it is known by id, whatever it was renamed to.
var (
	BYOTemplateID        = uuid.MustParse("6b0a9df6-3a2c-4c53-9c57-62796f000001")
	BYOTemplateVersionID = uuid.MustParse("6b0a9df6-3a2c-4c53-9c57-62796f000002")

	byoJobID = uuid.MustParse("6b0a9df6-3a2c-4c53-9c57-62796f000003")
)

// Provisioner is what does a template's builds.
type Provisioner string

const (
	ProvisionerBYO       Provisioner = "byo" // nothing to do
	ProvisionerTerraform Provisioner = "terraform"
)

// Template is a row of templates.
type Template struct {
	ID                 uuid.UUID `bun:",pk"`
	OrganizationID     uuid.UUID
	Name               string
	DisplayName        string
	Description        string
	Icon               string
	Provisioner        Provisioner
	ActiveVersionID    uuid.UUID
	DeprecationMessage string // not empty: deprecated

	ActivityBumpSeconds int64 // see TemplateLimits
	MaxLeaseSeconds     int64

	CreatedByID uuid.UUID `bun:",nullzero"` // none: built in
	CreatedAt   time.Time
	UpdatedAt   time.Time
	DeletedAt   time.Time `bun:",nullzero"`

	Organization *Organization `bun:"rel:belongs-to,join:organization_id=id"`
	CreatedBy    *User         `bun:"rel:belongs-to,join:created_by_id=id"` // nil: built in
}

// TemplateVersion is a row of template_versions.
type TemplateVersion struct {
	ID               uuid.UUID `bun:",pk"`
	TemplateID       uuid.UUID `bun:",nullzero"` // none: not yet of a template
	OrganizationID   uuid.UUID
	JobID            uuid.UUID
	Name             string
	Message          string
	Readme           string
	Archived         bool
	HasExternalAgent bool
	CreatedByID      uuid.UUID `bun:",nullzero"` // none: built in
	CreatedAt        time.Time
	UpdatedAt        time.Time

	Job       *Job      `bun:"rel:belongs-to,join:job_id=id"`        // not set in a Build
	CreatedBy *User     `bun:"rel:belongs-to,join:created_by_id=id"` // not set in a Build
	Template  *Template `bun:"rel:belongs-to,join:template_id=id"`   // not set in a Build
}

// Templates lists all that are not deleted, by name.
func (s *Store) Templates(ctx context.Context) ([]Template, error) {
	list := []Template{}
	err := templateQuery(s.read, &list).Where("template.deleted_at IS NULL").OrderExpr("lower(template.name)").Scan(ctx)
	return list, translate(err)
}

// TemplateByID returns ErrNotFound for an unknown or deleted template.
func (s *Store) TemplateByID(ctx context.Context, id uuid.UUID) (Template, error) {
	var t Template
	err := templateQuery(s.read, &t).Where("template.id = ? AND template.deleted_at IS NULL", id).Scan(ctx)
	return t, translate(err)
}

// TemplateByName finds a name in any case; ErrNotFound as TemplateByID.
func (s *Store) TemplateByName(ctx context.Context, organization uuid.UUID, name string) (Template, error) {
	var t Template
	err := templateQuery(s.read, &t).
		Where("template.organization_id = ? AND lower(template.name) = lower(?)", organization, plain(name)).
		Where("template.deleted_at IS NULL").Scan(ctx)
	return t, translate(err)
}

func templateQuery(db bun.IDB, model any) *bun.SelectQuery {
	return db.NewSelect().Model(model).Relation("Organization").Relation("CreatedBy")
}

// TemplateVersionByID returns ErrNotFound when there is none.
func (s *Store) TemplateVersionByID(ctx context.Context, id uuid.UUID) (TemplateVersion, error) {
	var v TemplateVersion
	err := versionQuery(s.read, &v).Where("template_version.id = ?", id).Scan(ctx)
	return v, translate(err)
}

// TemplateVersions lists the versions of a template, newest first.
func (s *Store) TemplateVersions(ctx context.Context, template uuid.UUID) ([]TemplateVersion, error) {
	list := []TemplateVersion{}
	err := versionQuery(s.read, &list).Where("template_version.template_id = ?", template).
		Order("template_version.created_at DESC", "template_version.id").Scan(ctx)
	return list, translate(err)
}

func versionQuery(db bun.IDB, model any) *bun.SelectQuery {
	return db.NewSelect().Model(model).Relation("Job").Relation("CreatedBy").Relation("Template")
}
