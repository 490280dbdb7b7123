package auth

import (
	"crypto/rand"
	"errors"
	"strings"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/store"
)

// A Key is the text of a session or API token: <id>-<secret>, of 10 and 22
// letters and digits. The id finds the row, the secret (131 bits) proves the
// right to it.
type Key struct {
	ID     string
	Secret Secret
}

const (
	keyIDLen     = 10
	keySecretLen = 22

	alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// NewKey makes a key at random.
func NewKey() Key {
	return Key{ID: randomText(keyIDLen), Secret: store.NewSecret(randomText(keySecretLen))}
}

// Token is the text that the user gets.
func (k Key) Token() Secret { return store.NewSecret(k.ID + "-" + k.Secret.Reveal()) }

// ParseKey reads the text of a token. It takes nothing but the form above; the
// error says what is wrong without repeating the text.
func ParseKey(text string) (Key, error) {
	id, secret, ok := strings.Cut(text, "-")
	switch {
	case !ok:
		return Key{}, errors.New("no hyphen in it")
	case len(id) != keyIDLen || !isAlphanumeric(id):
		return Key{}, errors.New("the id is not 10 letters and digits")
	case len(secret) != keySecretLen || !isAlphanumeric(secret):
		return Key{}, errors.New("the secret is not 22 letters and digits")
	}
	return Key{ID: id, Secret: store.NewSecret(secret)}, nil
}

func isAlphanumeric(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(alphanumeric, r) })
}

// randomText draws n characters evenly: bytes beyond the last multiple of 62
// are drawn again.
func randomText(n int) string {
	const even = 256 / len(alphanumeric) * len(alphanumeric)
	text := make([]byte, 0, n)
	for buf := make([]byte, 2*n); len(text) < n; {
		rand.Read(buf) // never fails: the program ends instead
		for _, b := range buf {
			if int(b) < even && len(text) < n {
				text = append(text, alphanumeric[int(b)%len(alphanumeric)])
			}
		}
	}
	return string(text)
}

// NewAgentToken makes an agent token: a random UUID in text (122 bits).
func NewAgentToken() Secret { return store.NewSecret(uuid.NewString()) }

// ParseAgentToken reads an agent token, in any case; its hash is that of the
// lower-case text.
func ParseAgentToken(text string) (Secret, error) {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		return Secret{}, errors.New("not a UUID")
	}
	return store.NewSecret(id.String()), nil
}
