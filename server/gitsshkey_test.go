package server

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/berthdev/berth/server/api"
)

func TestGitSSHKeys(t *testing.T) {
	each(t, func(t *testing.T, d *deployment) {
		ctx, owner, bob := t.Context(), d.owner(), d.member("bob")
		key, err := bob.GitSSHKey(ctx, api.Me)
		if err != nil || !strings.HasPrefix(key.PublicKey, "ssh-ed25519 ") {
			t.Fatalf("GitSSHKey = %+v, %v", key, err)
		}
		if _, err := bob.GitSSHKey(ctx, "ada"); api.StatusCode(err) != http.StatusNotFound {
			t.Errorf("GitSSHKey of another = %v, want 404", err)
		}
		if again, err := owner.GitSSHKey(ctx, "bob"); err != nil || again != key {
			t.Errorf("GitSSHKey, again, = %+v, %v, want %+v", again, err, key)
		}

		ws := d.workspace(bob, "blue")
		agent := d.client()
		if _, err := agent.AgentGitSSHKey(ctx); api.StatusCode(err) != http.StatusUnauthorized {
			t.Errorf("AgentGitSSHKey without a token = %v, want 401", err)
		}
		agent.Token = bob.Token
		if _, err := agent.AgentGitSSHKey(ctx); api.StatusCode(err) != http.StatusUnauthorized {
			t.Errorf("AgentGitSSHKey with the token of a user = %v, want 401", err)
		}
		agent.Token = d.agentToken(bob, ws)
		pair, err := agent.AgentGitSSHKey(ctx)
		if err != nil || pair.PublicKey != key.PublicKey {
			t.Fatalf("AgentGitSSHKey = %q, %v, want %q", pair.PublicKey, err, key.PublicKey)
		}
		signer, err := ssh.ParsePrivateKey([]byte(pair.PrivateKey))
		if err != nil {
			t.Fatal(err)
		}
		if got := ssh.MarshalAuthorizedKey(signer.PublicKey()); strings.TrimSpace(string(got)) != key.PublicKey {
			t.Errorf("the private key is that of %q, want %q", got, key.PublicKey)
		}

		fresh, err := bob.ResetGitSSHKey(ctx, api.Me)
		if err != nil || fresh.PublicKey == key.PublicKey {
			t.Fatalf("ResetGitSSHKey = %+v, %v, want another key", fresh, err)
		}
		if pair, err := agent.AgentGitSSHKey(ctx); err != nil || pair.PublicKey != fresh.PublicKey {
			t.Errorf("AgentGitSSHKey after a reset = %q, %v, want %q", pair.PublicKey, err, fresh.PublicKey)
		}
		if a := d.call("GET", "/api/v2/users/bob/gitsshkey", owner.Token, ""); bytes.Contains(bytes.ToLower(a.body), []byte("private")) {
			t.Errorf("the key for people has a private one: %s", a.body)
		}
	})
}
