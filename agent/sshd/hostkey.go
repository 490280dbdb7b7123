//go:build linux

package sshd

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// HostKey returns the ed25519 host key that belongs to seed: the same parts
// always give the same key, other parts (or the same bytes cut elsewhere)
// another one.
//
// The parts should name what the user takes for one machine (workspace id and
// agent name) and may include a secret. A derived key stays the same across
// rebuilds, where a file in the workspace might not, needs no place to write
// to, and two agents can never disagree about it. That others who know the
// parts can compute it costs nothing: peers are authenticated by the tailnet,
// and clients do not check this key.
func HostKey(seed ...string) (ssh.Signer, error) {
	h := sha256.New()
	h.Write([]byte("berth ssh host key v1"))
	for _, part := range seed {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	key, err := ssh.NewSignerFromSigner(ed25519.NewKeyFromSeed(h.Sum(nil)))
	if err != nil {
		return nil, fmt.Errorf("derive ssh host key: %w", err)
	}
	return key, nil
}
