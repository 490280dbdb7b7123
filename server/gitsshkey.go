package server

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

// newGitSSHKey makes a key pair.
func newGitSSHKey() (store.NewGitSSHKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return store.NewGitSSHKey{}, fmt.Errorf("make git key: %w", err)
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		return store.NewGitSSHKey{}, fmt.Errorf("encode git key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return store.NewGitSSHKey{}, fmt.Errorf("encode git key: %w", err)
	}
	return store.NewGitSSHKey{
		PublicKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line))),
		Private:   store.NewSecret(string(pem.EncodeToMemory(block))),
	}, nil
}

// getGitSSHKey tells the public key of a user, which is made at the first call.
func (s *Server) getGitSSHKey(w http.ResponseWriter, r *http.Request) error {
	u, err := s.pathUser(r)
	if err != nil {
		return err
	}
	if err := require(callerOf(r), auth.Read, auth.GitSSHKey(u.ID)); err != nil {
		return err
	}
	k, err := s.store.GitSSHKey(r.Context(), u.ID, newGitSSHKey)
	if err != nil {
		return err
	}
	return ok(w, gitSSHKeyJSON(k))
}

// putGitSSHKey replaces the key of a user.
func (s *Server) putGitSSHKey(w http.ResponseWriter, r *http.Request) error {
	u, err := s.pathUser(r)
	if err != nil {
		return err
	}
	if err := require(callerOf(r), auth.Update, auth.GitSSHKey(u.ID)); err != nil {
		return err
	}
	n, err := newGitSSHKey()
	if err != nil {
		return err
	}
	k, err := s.store.SetGitSSHKey(r.Context(), u.ID, n)
	if err != nil {
		return err
	}
	s.log.Info("git key replaced", "user", u.Username, "by", callerOf(r).Username)
	return ok(w, gitSSHKeyJSON(k))
}

func gitSSHKeyJSON(k store.GitSSHKey) api.GitSSHKey {
	return api.GitSSHKey{UserID: k.UserID, CreatedAt: k.CreatedAt, UpdatedAt: k.UpdatedAt, PublicKey: k.PublicKey}
}

// getAgentGitSSHKey gives both keys of the owner of a workspace to its agent.
func (s *Server) getAgentGitSSHKey(w http.ResponseWriter, r *http.Request) error {
	d, err := s.auth.AuthenticateAgent(r.Context(), tokenOf(r))
	if err != nil {
		return s.strange(r, err)
	}
	k, err := s.store.GitSSHKey(r.Context(), d.Owner.ID, newGitSSHKey)
	if err != nil {
		return err
	}
	return ok(w, api.AgentGitSSHKey{PublicKey: k.PublicKey, PrivateKey: k.Private.Reveal()})
}
