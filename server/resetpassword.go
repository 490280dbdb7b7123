package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

// ResetPassword sets the password of a user, by username or e-mail address, in the
// database that cfg names, for whoever is locked out. It ends all sessions and
// tokens of the user; one that is connected to a running server stays until then.
//
// With SQLite the server must not run: a *store.LockedError says that it does. A
// database that is not there is an error, and not made.
func ResetPassword(ctx context.Context, cfg Config, name, password string) (err error) {
	if err := auth.CheckPassword(password); err != nil {
		return err
	}
	where := cfg.storeConfig()
	if where.SQLitePath != "" {
		if _, err := os.Stat(where.SQLitePath); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no database of a server: %w", err)
		}
	}
	db, err := store.Open(ctx, where)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	u, err := db.UserByUsername(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		u, err = db.UserByEmail(ctx, name)
	}
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("user %q not found", name)
	}
	if err != nil {
		return err
	}
	if u.LoginType != store.LoginPassword {
		return fmt.Errorf("user %q does not sign in with a password", u.Username)
	}
	hash, err := auth.HashPassword(password)
	if err != nil {
		return err
	}
	return db.SetUserPassword(ctx, u.ID, hash)
}
