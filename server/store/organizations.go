package store

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Organization is a row of organizations. Every deployment has the default
// one, to which all users belong.
type Organization struct {
	ID          uuid.UUID `bun:",pk"`
	Name        string
	DisplayName string
	Description string
	Icon        string
	IsDefault   bool
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// DefaultOrganization returns the organization that Open makes.
func (s *Store) DefaultOrganization(ctx context.Context) (Organization, error) {
	var o Organization
	err := s.read.NewSelect().Model(&o).Where("is_default").Scan(ctx)
	return o, translate(err)
}

// OrganizationByID returns ErrNotFound when there is none.
func (s *Store) OrganizationByID(ctx context.Context, id uuid.UUID) (Organization, error) {
	o := Organization{ID: id}
	err := s.read.NewSelect().Model(&o).WherePK().Scan(ctx)
	return o, translate(err)
}

// OrganizationByName finds a name in any case, or returns ErrNotFound.
func (s *Store) OrganizationByName(ctx context.Context, name string) (Organization, error) {
	var o Organization
	err := s.read.NewSelect().Model(&o).Where("lower(name) = lower(?)", plain(name)).Scan(ctx)
	return o, translate(err)
}

// Organizations lists all, by name.
func (s *Store) Organizations(ctx context.Context) ([]Organization, error) {
	list := []Organization{}
	err := s.read.NewSelect().Model(&list).Order("name").Scan(ctx)
	return list, translate(err)
}
