package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/store"
	"github.com/berthdev/berth/server/store/storetest"
)

func gitKey(n int) func() (store.NewGitSSHKey, error) {
	return func() (store.NewGitSSHKey, error) {
		return store.NewGitSSHKey{PublicKey: fmt.Sprintf("public-%d", n), Private: store.NewSecret(fmt.Sprintf("private-%d", n))}, nil
	}
}

func TestGitSSHKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		ann, bob := newUser(t, s, "ann"), newUser(t, s, "bob")
		if _, err := s.GitSSHKey(ctx, uuid.New(), gitKey(0)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("key of nobody = %v, want not found", err)
		}
		var wg sync.WaitGroup
		var got [8]store.GitSSHKey
		for i := range got {
			wg.Go(func() {
				var err error
				if got[i], err = s.GitSSHKey(ctx, ann.ID, gitKey(i)); err != nil {
					t.Errorf("GitSSHKey: %v", err)
				}
			})
		}
		wg.Wait()
		for _, k := range got {
			if k.PublicKey != got[0].PublicKey || k.Private.Reveal() != "private"+k.PublicKey[len("public"):] {
				t.Errorf("first calls at once return %q with %q and %q, want one pair", k.PublicKey, k.Private.Reveal(), got[0].PublicKey)
			}
		}
		if k := must(s.GitSSHKey(ctx, bob.ID, gitKey(20)))(t); k.Private.Reveal() != "private-20" {
			t.Errorf("another user's key = %q", k.Private.Reveal())
		}
		n := must(gitKey(30)())(t)
		if k := must(s.SetGitSSHKey(ctx, ann.ID, n))(t); k.PublicKey != "public-30" || k.Private.Reveal() != "private-30" || !k.CreatedAt.Equal(got[0].CreatedAt) {
			t.Errorf("replaced key = %+v, want the new pair, first made at %v", k, got[0].CreatedAt)
		}
		if k := must(s.GitSSHKey(ctx, ann.ID, gitKey(40)))(t); k.Private.Reveal() != "private-30" {
			t.Errorf("key = %q, want what was set", k.Private.Reveal())
		}
		if _, err := s.SetGitSSHKey(ctx, uuid.New(), n); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("SetGitSSHKey of nobody = %v, want not found", err)
		}
		if err := s.DeleteUser(ctx, ann.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := s.GitSSHKey(ctx, ann.ID, gitKey(0)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("key of a deleted user = %v, want not found", err)
		}
	})
}

// The file of the database does not show private keys, but for who looks for the
// key that seals them.
func TestGitSSHKeyIsSealed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "berth.db")
	s := storetest.Open(t, store.Config{SQLitePath: path})
	must(s.GitSSHKey(t.Context(), newUser(t, s, "ann").ID, gitKey(7)))(t)
	for _, name := range []string{path, path + "-wal"} {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte("private-7")) {
			t.Errorf("%s has the private key in it", name)
		}
	}
}
