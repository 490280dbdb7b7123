package store

import (
	"crypto/sha256"
	"database/sql/driver"
	"fmt"
	"log/slog"
)

// Secret is text that must not reach a log, an error or an answer: a token, or
// a password hash. Every way of formatting it gives a redaction; only Reveal
// gives the text. The zero value is no secret.
type Secret struct{ text string }

const redacted = "[redacted]"

// NewSecret wraps text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the text, for the one place that must send it.
func (s Secret) Reveal() string { return s.text }

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.text == "" }

// Hash is the SHA-256 of the text. Unsalted is enough for what it is used for:
// tokens are random, so there is nothing to guess.
func (s Secret) Hash() []byte {
	sum := sha256.Sum256([]byte(s.text))
	return sum[:]
}

func (s Secret) String() string               { return redacted }
func (s Secret) GoString() string             { return redacted }
func (s Secret) Format(f fmt.State, _ rune)   { fmt.Fprint(f, redacted) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }

// Value lets the database store the text. Only password hashes are.
func (s Secret) Value() (driver.Value, error) { return s.text, nil }

// Scan reads a stored text.
func (s *Secret) Scan(src any) error {
	switch src := src.(type) {
	case nil:
		s.text = ""
	case string:
		s.text = src
	case []byte:
		s.text = string(src)
	default:
		return fmt.Errorf("scan secret: have %T", src)
	}
	return nil
}
