package store

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

type deploymentValue struct {
	Key       string `bun:",pk"`
	Value     []byte
	CreatedAt time.Time
}

// DeploymentValue returns the value kept under key for the life of the
// deployment, such as its id or a signing key. The first call keeps what
// create returns; of several first calls at once, also from several servers,
// one value wins and all return that one. create may be called and its result
// thrown away.
//
// Values that are keys are kept as they are: all servers of a deployment need
// them, and a backup of the database must be enough to restore it.
func (s *Store) DeploymentValue(ctx context.Context, key string, create func() ([]byte, error)) ([]byte, error) {
	v := deploymentValue{Key: key}
	err := translate(s.read.NewSelect().Model(&v).WherePK().Scan(ctx))
	if !errors.Is(err, ErrNotFound) {
		return v.Value, err
	}
	if v.Value, err = create(); err != nil {
		return nil, err
	}
	v.CreatedAt = now()
	err = s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(&v).On("CONFLICT DO NOTHING").Exec(ctx); err != nil {
			return err
		}
		return tx.NewSelect().Model(&v).WherePK().Scan(ctx)
	})
	return v.Value, err
}

// DeploymentID returns the id of this deployment, made at the first call.
func (s *Store) DeploymentID(ctx context.Context) (uuid.UUID, error) {
	text, err := s.DeploymentValue(ctx, "deployment_id", func() ([]byte, error) {
		return []byte(uuid.NewString()), nil
	})
	if err != nil {
		return uuid.Nil, err
	}
	return uuid.ParseBytes(text)
}

// randomKey makes a 256-bit key.
func randomKey() ([]byte, error) {
	key := make([]byte, 32)
	_, err := rand.Read(key)
	return key, err
}
