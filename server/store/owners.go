package store

import (
	"context"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// keepOwner returns a *ConflictError of owner if without this user nobody would
// be left who has the role owner and is not suspended. It holds the rows of all
// who are: those who take owners away take turns.
func keepOwner(ctx context.Context, tx bun.Tx, without uuid.UUID) error {
	q := tx.NewUpdate().Model((*User)(nil)).Set("id = id")
	if _, err := q.ApplyQueryBuilder(owners).Exec(ctx); err != nil {
		return err
	}
	var left []uuid.UUID
	if err := tx.NewSelect().Model((*User)(nil)).Column("id").ApplyQueryBuilder(owners).Scan(ctx, &left); err != nil {
		return err
	}
	if len(left) == 1 && left[0] == without {
		return &ConflictError{Field: "owner"}
	}
	return nil
}

func owners(q bun.QueryBuilder) bun.QueryBuilder {
	return q.Where("deleted_at IS NULL AND status <> ?", UserSuspended).Where("roles LIKE ?", `%"`+RoleOwner+`"%`)
}
