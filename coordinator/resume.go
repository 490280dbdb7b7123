package coordinator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	resumeLifetime = 24 * time.Hour
	// resumeRefresh is when a peer asks for the next token.
	resumeRefresh = resumeLifetime / 2
	maxTokenBytes = 2048
	minSecret     = 32 // bytes, the size of the HMAC
)

var (
	// ErrToken reports a resume token that is malformed, forged, expired or
	// another owner's.
	ErrToken = errors.New("resume token is not valid")
	// ErrTokenKey reports a token of a key that is no longer (or never was)
	// ours: its peer gets a new id.
	ErrTokenKey = errors.New("resume token is of an unknown key")
)

// ResumeKey signs resume tokens.
type ResumeKey struct {
	ID     string
	Secret []byte // 32 bytes or more, random
}

// ResumeTokens issues and checks the tokens by which a client keeps its peer id
// when it connects again: JSON web tokens (RFC 7519) under HMAC-SHA256, opaque
// to clients.
type ResumeTokens struct{ keys []ResumeKey }

type tokenHeader struct {
	Alg string `json:"alg"`
	Kid string `json:"kid"`
	Typ string `json:"typ,omitempty"`
}

type tokenClaims struct {
	Subject uuid.UUID `json:"sub"` // the peer
	Owner   uuid.UUID `json:"own"`
	Expires int64     `json:"exp"` // Unix seconds
}

// NewResumeTokens uses the first key to sign and all of them to check, so that
// a key is rotated by putting a new one first and dropping it a day later.
func NewResumeTokens(keys ...ResumeKey) (*ResumeTokens, error) {
	if len(keys) == 0 {
		return nil, errors.New("no key for resume tokens")
	}
	for _, k := range keys {
		if k.ID == "" || len(k.Secret) < minSecret {
			return nil, fmt.Errorf("key %q for resume tokens: want an id and %d bytes", k.ID, minSecret)
		}
	}
	return &ResumeTokens{keys: keys}, nil
}

// Issue returns a token for a peer of owner (a user), good for a day from now.
func (r *ResumeTokens) Issue(peer, owner uuid.UUID, now time.Time) (token string, expires time.Time, err error) {
	expires = now.Add(resumeLifetime).Truncate(time.Second)
	header, err := segment(tokenHeader{Alg: "HS256", Kid: r.keys[0].ID, Typ: "JWT"})
	if err != nil {
		return "", time.Time{}, err
	}
	claims, err := segment(tokenClaims{Subject: peer, Owner: owner, Expires: expires.Unix()})
	if err != nil {
		return "", time.Time{}, err
	}
	signed := header + "." + claims
	sum := hmacSHA256(r.keys[0].Secret, []byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(sum), expires, nil
}

// Verify returns the peer of a token that was issued to owner, ErrTokenKey or
// ErrToken.
func (r *ResumeTokens) Verify(token string, owner uuid.UUID, now time.Time) (uuid.UUID, error) {
	parts := strings.Split(token, ".")
	if len(token) > maxTokenBytes || len(parts) != 3 {
		return uuid.Nil, ErrToken
	}
	secret, err := r.secret(parts[0])
	if err != nil {
		return uuid.Nil, err
	}
	sum, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !hmac.Equal(sum, hmacSHA256(secret, []byte(parts[0]+"."+parts[1]))) {
		return uuid.Nil, ErrToken
	}
	var claims tokenClaims
	if parse(parts[1], &claims) != nil || claims.Owner != owner || claims.Subject == uuid.Nil || now.Unix() >= claims.Expires {
		return uuid.Nil, ErrToken
	}
	return claims.Subject, nil
}

func (r *ResumeTokens) secret(header string) ([]byte, error) {
	var h tokenHeader
	if parse(header, &h) != nil || h.Alg != "HS256" {
		return nil, ErrToken
	}
	for _, k := range r.keys {
		if k.ID == h.Kid {
			return k.Secret, nil
		}
	}
	return nil, ErrTokenKey
}

func hmacSHA256(secret, data []byte) []byte {
	m := hmac.New(sha256.New, secret)
	m.Write(data)
	return m.Sum(nil)
}

func segment(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode resume token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

func parse(segment string, v any) error {
	b, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}
