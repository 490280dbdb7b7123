package coordinator

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

var (
	oldKey = ResumeKey{ID: "old", Secret: bytes.Repeat([]byte{1}, 32)}
	newKey = ResumeKey{ID: "new", Secret: bytes.Repeat([]byte{2}, 32)}
)

func tokens(t testing.TB, keys ...ResumeKey) *ResumeTokens {
	r, err := NewResumeTokens(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestResumeTokens(t *testing.T) {
	peer, owner, now := uuid.New(), uuid.New(), time.Unix(1e9, 0)
	old := tokens(t, oldKey)
	token, expires, err := old.Issue(peer, owner, now)
	if err != nil || !expires.Equal(now.Add(24*time.Hour)) {
		t.Fatalf("Issue = %v, %v, want a token for 24h", expires, err)
	}
	header, _, _ := strings.Cut(token, ".")
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"old"}`)) + strings.TrimPrefix(token, header)
	for name, tt := range map[string]struct {
		by    *ResumeTokens
		token string
		owner uuid.UUID
		at    time.Time
		want  error
	}{
		"good":                  {old, token, owner, now, nil},
		"last second":           {old, token, owner, expires.Add(-time.Second), nil},
		"after rotation":        {tokens(t, newKey, oldKey), token, owner, now, nil},
		"expired":               {old, token, owner, expires, ErrToken},
		"another owner":         {old, token, uuid.New(), now, ErrToken},
		"unknown key":           {tokens(t, newKey), token, owner, now, ErrTokenKey},
		"same id, other secret": {tokens(t, ResumeKey{ID: "old", Secret: newKey.Secret}), token, owner, now, ErrToken},
		"no algorithm":          {old, unsigned, owner, now, ErrToken},
		"no signature":          {old, token[:strings.LastIndex(token, ".")+1], owner, now, ErrToken},
		"two parts":             {old, token[:strings.LastIndex(token, ".")], owner, now, ErrToken},
		"empty":                 {old, "", owner, now, ErrToken},
		"long":                  {old, token + strings.Repeat("a", maxTokenBytes), owner, now, ErrToken},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tt.by.Verify(tt.token, tt.owner, tt.at)
			if !errors.Is(err, tt.want) || (err == nil) != (got == peer) {
				t.Errorf("Verify = %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func TestResumeKeysAreChecked(t *testing.T) {
	for name, keys := range map[string][]ResumeKey{"none": nil, "no id": {{Secret: oldKey.Secret}}, "short": {{ID: "k", Secret: oldKey.Secret[1:]}}} {
		if _, err := NewResumeTokens(keys...); err == nil {
			t.Errorf("NewResumeTokens with key %s = nil error", name)
		}
	}
}

func FuzzResumeToken(f *testing.F) {
	r, owner, now := tokens(f, oldKey), uuid.New(), time.Unix(1e9, 0)
	good, _, err := r.Issue(uuid.New(), owner, now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		// The last character of base64 has bits that do not count.
		if _, err := r.Verify(token, owner, now); err == nil && token[:len(token)-1] != good[:len(good)-1] {
			t.Errorf("Verify(%q) = nil, want an error for all but the issued token", token)
		}
	})
}
