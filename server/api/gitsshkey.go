package api

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// GitSSHKey is the public key with which the workspaces of a user speak to git
// servers, as a line of an authorized_keys file.
type GitSSHKey struct {
	UserID    uuid.UUID `json:"user_id"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	PublicKey string    `json:"public_key"`
}

// AgentGitSSHKey is the same for workspaces; the private key is PEM, as OpenSSH
// keeps it.
type AgentGitSSHKey struct {
	PublicKey  string `json:"public_key"`
	PrivateKey string `json:"private_key"`
}

// GitSSHKey asks for the key of a user, which is made when there is none.
func (c *Client) GitSSHKey(ctx context.Context, user string) (GitSSHKey, error) {
	var out GitSSHKey
	return out, c.get(ctx, userPath(user)+"/gitsshkey", &out)
}

// ResetGitSSHKey replaces the key of a user; the old one is forgotten.
func (c *Client) ResetGitSSHKey(ctx context.Context, user string) (GitSSHKey, error) {
	var out GitSSHKey
	return out, c.call(ctx, http.MethodPut, userPath(user)+"/gitsshkey", nil, &out)
}

// AgentGitSSHKey asks for the keys of the workspace's owner, with the agent's
// token.
func (c *Client) AgentGitSSHKey(ctx context.Context) (AgentGitSSHKey, error) {
	var out AgentGitSSHKey
	return out, c.get(ctx, "/api/v2/workspaceagents/me/gitsshkey", &out)
}
