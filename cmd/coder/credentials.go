package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/berthdev/berth/server/api"
)

// credentials keep which server the user is signed in to, and the session. The
// session is in the keyring of the system where there is one and it is wanted,
// else in a file that only the user may read.
type credentials struct {
	dir     configDir
	keyring keyring // nil: sessions are in the file
}

// keyring keeps secrets for the user, by the name of an account. Each call may
// ask the user to unlock it.
type keyring interface {
	get(account string) (secret string, err error) // "" if there is none
	set(account, secret string) error
	remove(account string) error // that there is none is fine
}

// credentials are kept in files when --global-config names their directory:
// editors that do so read and write the file.
func (g *globals) credentials() (credentials, error) {
	dir, err := g.config()
	if !g.useKeyring || g.configDir != "" {
		return credentials{dir, nil}, err
	}
	return credentials{dir, systemKeyring()}, err
}

// server returns the URL of the last login, or "".
func (c credentials) server() (string, error) { return c.dir.read(fileURL) }

// token returns the session at a server, or "": that of another server is none of
// its business. One that was stored before there was a keyring is in the file.
func (c credentials) token(server *url.URL) (string, error) {
	var locked error
	if c.keyring != nil {
		token, err := c.keyring.get(account(server))
		if token != "" {
			return token, nil
		}
		locked = err
	}
	token, err := c.dir.session(server)
	if token == "" && err == nil && locked != nil {
		return "", withHint(fmt.Errorf("read the session from the keyring: %w", locked), "unlock it, or use --use-keyring=false and sign in again")
	}
	return token, err
}

// store remembers a session and its server.
func (c credentials) store(server *url.URL, token string) error {
	if c.keyring == nil { // a session of one server must not go to another
		return c.dir.writeSession(server.String(), token)
	}
	if err := c.keyring.set(account(server), token); err != nil {
		return withHint(fmt.Errorf("write to the keyring: %w", err), "unlock it, or use --use-keyring=false for a file")
	}
	if err := c.dir.remove(fileSession); err != nil { // an older one, perhaps of another server
		return err
	}
	return c.dir.write(fileURL, server.String())
}

// forget removes what store stored for a server. That nothing was is fine.
func (c credentials) forget(server *url.URL) error {
	stored, err := c.server()
	if err == nil && (stored == "" || isServer(stored, server)) {
		err = c.dir.remove(fileSession, fileURL, fileOrganization) // a session without a URL would go anywhere
	}
	if c.keyring != nil {
		err = errors.Join(err, c.keyring.remove(account(server)))
	}
	return err
}

// isServer reports whether an address is that of a server: the scheme counts, as a
// session of https must not go through a network in the open.
func isServer(address string, server *url.URL) bool {
	u, err := api.ParseURL(address)
	return err == nil && u.Scheme == server.Scheme && account(u) == account(server)
}

// account is the name of a server's entry in the keyring. Each server has its own:
// two logins at once do not lose each other's.
func account(server *url.URL) string { return strings.ToLower(server.Host) }
