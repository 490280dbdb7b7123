package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// GitSSHKey is a row of git_ssh_keys: the key pair with which the workspaces of
// a user speak to git servers. The private one is sealed as AgentToken says,
// bound to the user's id.
type GitSSHKey struct {
	UserID        uuid.UUID `bun:",pk"`
	PublicKey     string    // a line of an authorized_keys file
	PrivateSealed []byte
	CreatedAt     time.Time
	UpdatedAt     time.Time

	Private Secret `bun:"-"` // PEM, as OpenSSH keeps it
}

// NewGitSSHKey is a key pair that is not kept yet.
type NewGitSSHKey struct {
	PublicKey string
	Private   Secret
}

// GitSSHKey returns the key of a user. The first call keeps what create returns;
// of several first calls at once one key wins. ErrNotFound for an unknown or
// deleted user.
func (s *Store) GitSSHKey(ctx context.Context, user uuid.UUID, create func() (NewGitSSHKey, error)) (GitSSHKey, error) {
	k := GitSSHKey{UserID: user}
	err := translate(s.read.NewSelect().Model(&k).WherePK().Scan(ctx))
	if errors.Is(err, ErrNotFound) {
		var n NewGitSSHKey
		if n, err = create(); err != nil {
			return GitSSHKey{}, err
		}
		return s.putGitSSHKey(ctx, user, n, false)
	}
	if err != nil {
		return GitSSHKey{}, err
	}
	return s.open(k)
}

// SetGitSSHKey replaces the key of a user; ErrNotFound as GitSSHKey.
func (s *Store) SetGitSSHKey(ctx context.Context, user uuid.UUID, n NewGitSSHKey) (GitSSHKey, error) {
	return s.putGitSSHKey(ctx, user, n, true)
}

func (s *Store) putGitSSHKey(ctx context.Context, user uuid.UUID, n NewGitSSHKey, replace bool) (GitSSHKey, error) {
	k := GitSSHKey{UserID: user, PublicKey: n.PublicKey, PrivateSealed: s.seal(user, n.Private), CreatedAt: now()}
	k.UpdatedAt = k.CreatedAt
	err := s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := lockUser(ctx, tx, user); err != nil {
			return err
		}
		q := tx.NewInsert().Model(&k).On("CONFLICT DO NOTHING")
		if replace {
			q.On("CONFLICT (user_id) DO UPDATE").Set("public_key = EXCLUDED.public_key, private_sealed = EXCLUDED.private_sealed, updated_at = EXCLUDED.updated_at")
		}
		if _, err := q.Exec(ctx); err != nil {
			return err
		}
		return tx.NewSelect().Model(&k).WherePK().Scan(ctx)
	})
	if err != nil {
		return GitSSHKey{}, err
	}
	return s.open(k)
}

func (s *Store) open(k GitSSHKey) (GitSSHKey, error) {
	text, err := s.sealer.Open(nil, nil, k.PrivateSealed, k.UserID[:])
	if err != nil {
		return GitSSHKey{}, fmt.Errorf("open git key of user %s: %w", k.UserID, err)
	}
	k.Private = NewSecret(string(text))
	return k, nil
}
