package store

import (
	"context"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// seed makes the rows that every deployment has, unless they are there: a row
// that was renamed or marked deleted stays so.
func (s *Store) seed(ctx context.Context) error {
	have, err := s.read.NewSelect().Model((*TemplateVersion)(nil)).Where("id = ?", BYOTemplateVersionID).Exists(ctx)
	if err != nil || have {
		return err
	}
	return s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		org, err := seedOrganization(ctx, tx)
		if err != nil {
			return err
		}
		for _, row := range byoRows(org) {
			if _, err := tx.NewInsert().Model(row).On("CONFLICT DO NOTHING").Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

func seedOrganization(ctx context.Context, tx bun.Tx) (uuid.UUID, error) {
	o := Organization{ID: uuid.New(), Name: "default", DisplayName: "Default", IsDefault: true, CreatedAt: now(), UpdatedAt: now()}
	if _, err := tx.NewInsert().Model(&o).On("CONFLICT DO NOTHING").Exec(ctx); err != nil {
		return uuid.Nil, err
	}
	err := tx.NewSelect().Model(&o).Where("is_default").Scan(ctx)
	return o.ID, err
}

func byoRows(organization uuid.UUID) []any {
	job := newJob(JobImport, organization, uuid.Nil).finished()
	job.ID = byoJobID
	t := Template{
		ID: BYOTemplateID, OrganizationID: organization, Name: "byo", DisplayName: "Bring your own",
		Description: "A machine that exists already: start the agent on it with one command.",
		Provisioner: ProvisionerBYO, ActiveVersionID: BYOTemplateVersionID,
		ActivityBumpSeconds: 60 * 60, MaxLeaseSeconds: 24 * 60 * 60, // as the migration gives to templates of before
		CreatedAt: job.CreatedAt, UpdatedAt: job.CreatedAt,
	}
	v := TemplateVersion{
		ID: BYOTemplateVersionID, TemplateID: t.ID, OrganizationID: organization, JobID: job.ID,
		Name: "built-in", HasExternalAgent: true, CreatedAt: job.CreatedAt, UpdatedAt: job.CreatedAt,
	}
	return []any{&job, &t, &v}
}
