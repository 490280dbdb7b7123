package main

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// openKeyring is a keyring as systems of other makes have, in memory. locked is
// what it says when the user does not unlock it.
type openKeyring struct {
	secrets map[string]string
	locked  error
}

func (k openKeyring) get(account string) (string, error) { return k.secrets[account], k.locked }

func (k openKeyring) set(account, secret string) error {
	if k.locked == nil {
		k.secrets[account] = secret
	}
	return k.locked
}

func (k openKeyring) remove(account string) error {
	if k.locked == nil {
		delete(k.secrets, account)
	}
	return k.locked
}

func TestSessionsInAKeyring(t *testing.T) {
	blue, green := &url.URL{Scheme: "https", Host: "Blue.example.com"}, &url.URL{Scheme: "https", Host: "green.example.com:8443"}
	ring := openKeyring{secrets: map[string]string{}}
	c := credentials{configDir(t.TempDir()), ring}
	session := filepath.Join(string(c.dir), fileSession)
	if err := c.dir.write(fileSession, "older"); err != nil {
		t.Fatal(err)
	}
	if got, err := c.token(blue); got != "older" || err != nil {
		t.Errorf("token before there was one in the keyring = %q, %v, want that of the file", got, err)
	}
	if err := errors.Join(c.store(green, "of green"), c.store(blue, "of blue")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(session); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file of the session after a login with a keyring: %v, want it gone", err)
	}
	for server, want := range map[*url.URL]string{blue: "of blue", green: "of green"} {
		if got, err := c.token(server); got != want || err != nil {
			t.Errorf("token of %s = %q, %v, want %q", server.Host, got, err, want)
		}
	}
	if got, err := c.server(); got != "https://Blue.example.com" || err != nil {
		t.Errorf("server = %q, %v, want that of the last login", got, err)
	}
	if err := c.forget(blue); err != nil {
		t.Fatal(err)
	}
	if got, err := c.token(blue); got != "" || err != nil {
		t.Errorf("token after it was forgotten = %q, %v, want none", got, err)
	}
	if got, err := c.token(green); got != "of green" || err != nil {
		t.Errorf("token of the other server = %q, %v, want it kept", got, err)
	}
}

func TestLockedKeyring(t *testing.T) {
	server := &url.URL{Scheme: "https", Host: "blue.example.com"}
	c := credentials{configDir(t.TempDir()), openKeyring{locked: errors.New("the user said no")}}
	for what, err := range map[string]error{"token": only(c.token(server)), "store": c.store(server, "secret")} {
		if err == nil || !strings.Contains(err.Error(), "the user said no") {
			t.Errorf("%s with a locked keyring = %v, want what the keyring says", what, err)
		}
	}
	if _, err := os.Stat(filepath.Join(string(c.dir), fileSession)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file of the session after a keyring refused it: %v, want none", err)
	}
	if err := c.dir.write(fileSession, "older"); err != nil {
		t.Fatal(err)
	}
	if got, err := c.token(server); got != "older" || err != nil {
		t.Errorf("token with a locked keyring and a file = %q, %v, want that of the file", got, err)
	}

	// A login elsewhere that fails leaves the session beside its own URL.
	elsewhere := &url.URL{Scheme: "https", Host: "green.example.com"}
	if err := c.dir.write(fileURL, server.String()); err != nil {
		t.Fatal(err)
	}
	if err := c.store(elsewhere, "secret"); err == nil {
		t.Error("store with a locked keyring = nil, want an error")
	}
	if got, _ := c.token(elsewhere); got != "" {
		t.Errorf("token of another server = %q, want none", got)
	}
}

func only[T any](_ T, err error) error { return err }

// TestKeyringIsLeftAlone: a directory that was named has files, which editors
// read, and so have systems without a keyring.
func TestKeyringIsLeftAlone(t *testing.T) {
	for name, g := range map[string]*globals{
		"a directory that was named": {configDir: t.TempDir(), useKeyring: true},
		"told not to":                {useKeyring: false},
	} {
		if c, err := g.credentials(); err != nil || c.keyring != nil {
			t.Errorf("credentials with %s = %+v, %v, want no keyring", name, c, err)
		}
	}
}
