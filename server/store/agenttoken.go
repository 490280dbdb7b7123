package store

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"fmt"

	"github.com/google/uuid"
)

// AgentToken returns the token of an external agent, to show its user the
// command that starts it; ErrNotFound for any other agent.
//
// Such a token is kept twice: as a hash, for the agent that comes with it, and
// sealed (AES-256-GCM, bound to the agent's id), because the user may ask for
// the command again and the token of a Terraform template cannot be derived.
// The key is a deployment value, so it lies in the same database. That keeps
// tokens out of anything that shows rows (a query, a log, a partial dump), not
// from somebody who has the whole database. A key file beside it would, but
// every server of a deployment and every restored backup would need the file,
// and what this token opens is little: to stand in for one agent.
func (s *Store) AgentToken(ctx context.Context, agent uuid.UUID) (Secret, error) {
	a := Agent{ID: agent}
	err := s.read.NewSelect().Model(&a).WherePK().Where("token_sealed IS NOT NULL").Scan(ctx)
	if err != nil {
		return Secret{}, translate(err)
	}
	text, err := s.sealer.Open(nil, nil, a.TokenSealed, agent[:])
	if err != nil {
		return Secret{}, fmt.Errorf("open token of agent %s: %w", agent, err)
	}
	return NewSecret(string(text)), nil
}

// seal makes a secret unreadable but for who has the key; it opens for the same
// owner only.
func (s *Store) seal(owner uuid.UUID, secret Secret) []byte {
	return s.sealer.Seal(nil, nil, []byte(secret.Reveal()), owner[:])
}

func (s *Store) newSealer(ctx context.Context) (cipher.AEAD, error) {
	key, err := s.DeploymentValue(ctx, "agent_token_key", randomKey)
	if err != nil {
		return nil, fmt.Errorf("read agent token key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("use agent token key: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}
