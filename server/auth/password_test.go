package auth

import (
	"errors"
	"strings"
	"testing"

	"github.com/berthdev/berth/server/store"
)

func TestHashPassword(t *testing.T) {
	const password = "correct-Horse-9"
	hash, err := HashPassword(password)
	if err != nil {
		t.Fatal(err)
	}
	h, err := parseHash(hash.Reveal())
	if err != nil || h.iterations != 65535 || len(h.salt) != 16 || len(h.key) != 64 {
		t.Errorf("parseHash(HashPassword) = %d iterations, %d salt, %d key, %v; want 65535, 16, 64", h.iterations, len(h.salt), len(h.key), err)
	}
	if !strings.HasPrefix(hash.Reveal(), "$pbkdf2-sha256$65535$") {
		t.Errorf("hash = %q", hash.Reveal())
	}
	for given, want := range map[string]bool{password: true, password + " ": false, "": false, strings.ToUpper(password): false} {
		if got, err := VerifyPassword(hash, given); got != want || err != nil {
			t.Errorf("VerifyPassword(%q) = %v, %v; want %v", given, got, err, want)
		}
	}
	if again, err := HashPassword(password); err != nil || again == hash {
		t.Errorf("HashPassword gave the same text twice (or %v): no salt", err)
	}
}

// A row keeps its own iteration count: this one was computed by another
// implementation (Python's hashlib.pbkdf2_hmac) with 1024.
func TestVerifyPasswordOfOldRow(t *testing.T) {
	old := store.NewSecret("$pbkdf2-sha256$1024$c2FsdHNhbHRzYWx0c2FsdA$" + oldKey)
	if ok, err := VerifyPassword(old, "old password"); !ok || err != nil {
		t.Errorf("VerifyPassword = %v, %v; want true", ok, err)
	}
}

const oldKey = "QMWj+Nmm8mvlQFSmz7I+CFQbwYLegurouqe+LfEy3CaNEHnOeDIQCEMtTNq+qSehS0xjphMspIOXPLRS68/VOg"

func TestVerifyPasswordWithoutHash(t *testing.T) {
	if ok, err := VerifyPassword(Secret{}, ""); ok || err != nil {
		t.Errorf("VerifyPassword(no hash) = %v, %v; want false", ok, err)
	}
}

func TestVerifyPasswordOfBrokenRow(t *testing.T) {
	for _, row := range []string{
		"x", "$pbkdf2-sha256$65535$c2FsdA", "$pbkdf2-sha1$65535$c2FsdA$" + oldKey, "$pbkdf2-sha256$0$c2FsdA$" + oldKey,
		"$pbkdf2-sha256$-1$c2FsdA$" + oldKey, "$pbkdf2-sha256$99999999$c2FsdA$" + oldKey, "$pbkdf2-sha256$1$!$" + oldKey,
		"$pbkdf2-sha256$1$c2FsdA$", "$pbkdf2-sha256$1$$" + oldKey, "$pbkdf2-sha256$1$c2FsdA$AAAA", "$pbkdf2-sha256$1$c2FsdA$" + oldKey + "$",
	} {
		if ok, err := VerifyPassword(store.NewSecret(row), ""); ok || err == nil {
			t.Errorf("VerifyPassword(%q) = %v, %v; want an error", row, ok, err)
		}
	}
}

func TestCheckPassword(t *testing.T) {
	for password, good := range map[string]bool{
		"":                            false,
		"password":                    false,
		"aaaaaaaaaaaaaaaaaaaaaaaa":    false,
		"SomeSecurePassword!":         true,
		"correct-Horse-9":             true,
		strings.Repeat("aB3$xyQ9", 8): true,
		strings.Repeat("aB3$xyQ9", 8)[:63] + "éé": false,
	} {
		err := CheckPassword(password)
		var invalid *store.InvalidError
		if good != (err == nil) || err != nil && (!errors.As(err, &invalid) || invalid.Field != "password") {
			t.Errorf("CheckPassword(%q) = %v, want good: %v", password, err, good)
		}
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add("$pbkdf2-sha256$65535$c2FsdA$" + oldKey)
	f.Fuzz(func(t *testing.T, text string) {
		if h, err := parseHash(text); err == nil && (h.iterations < 1 || h.iterations > maxIterations || len(h.salt) == 0 || len(h.key) < 32) {
			t.Errorf("parseHash(%q) = %+v", text, h)
		}
	})
}
