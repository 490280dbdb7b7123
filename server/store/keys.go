package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// KeyScope bounds what a key may do beyond what its user may.
type KeyScope string

const (
	ScopeAll                KeyScope = "all"
	ScopeApplicationConnect KeyScope = "application_connect" // open apps, nothing else
)

// touchEvery is how often the use of a key is written down: often enough for
// "last used" in a list, rare enough to keep writes out of the request path.
const touchEvery = time.Hour

// APIKey is a row of api_keys: a session, or a token with a name.
type APIKey struct {
	ID           string `bun:",pk"` // 10 characters, the part of the token before the hyphen
	HashedSecret []byte // SHA-256 of the part after it
	UserID       uuid.UUID
	LoginType    LoginType
	Scope        KeyScope
	TokenName    string // unique per user unless empty
	IPAddress    string // of the last use
	CreatedAt    time.Time
	UpdatedAt    time.Time
	ExpiresAt    time.Time
	LastUsed     time.Time `bun:",nullzero"`

	LifetimeSeconds int64

	User *User `bun:"rel:belongs-to,join:user_id=id"`
}

// Lifetime is how long the key is good for after it was made or extended.
func (k *APIKey) Lifetime() time.Duration { return time.Duration(k.LifetimeSeconds) * time.Second }

// NewAPIKey is what CreateAPIKey needs to know. The caller makes id and secret
// and keeps the secret to itself.
type NewAPIKey struct {
	ID           string
	HashedSecret []byte
	UserID       uuid.UUID
	LoginType    LoginType
	Scope        KeyScope // empty means all
	TokenName    string
	Lifetime     time.Duration // whole seconds
	IPAddress    string
}

// CreateAPIKey adds a key that expires a lifetime from now. Errors:
// *InvalidError for the name; *ConflictError of token_name or id; ErrNotFound
// for an unknown or deleted user.
func (s *Store) CreateAPIKey(ctx context.Context, n NewAPIKey) (APIKey, error) {
	if err := checkTokenName(n.TokenName); err != nil {
		return APIKey{}, err
	}
	if n.Scope == "" {
		n.Scope = ScopeAll
	}
	k := APIKey{
		ID: n.ID, HashedSecret: n.HashedSecret, UserID: n.UserID, LoginType: n.LoginType, Scope: n.Scope,
		TokenName: n.TokenName, IPAddress: n.IPAddress, LifetimeSeconds: int64(n.Lifetime / time.Second),
		CreatedAt: now(),
	}
	k.UpdatedAt, k.ExpiresAt = k.CreatedAt, k.CreatedAt.Add(k.Lifetime())
	var u User
	err := s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := lockUser(ctx, tx, n.UserID); err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(&k).Exec(ctx); err != nil {
			return err
		}
		return tx.NewSelect().Model(&u).Where("id = ?", n.UserID).Scan(ctx)
	})
	k.User = &u
	return k, err
}

// lockUser keeps a user from being deleted until tx ends, and returns
// ErrNotFound when that has happened.
func lockUser(ctx context.Context, tx bun.Tx, id uuid.UUID) error {
	return changeOne(ctx, tx.NewUpdate().Model((*User)(nil)).Set("id = id").Where("id = ? AND deleted_at IS NULL", id))
}

// APIKeyByID returns the key with its user, in one read: every request begins
// with it. A key of any age is returned, expired or not; ErrNotFound when
// there is none.
func (s *Store) APIKeyByID(ctx context.Context, id string) (APIKey, error) {
	return s.key(ctx, "api_key.id = ?", plain(id))
}

// APIKeyByName returns the token of a user with that name, or ErrNotFound.
func (s *Store) APIKeyByName(ctx context.Context, user uuid.UUID, name string) (APIKey, error) {
	if name == "" {
		return APIKey{}, ErrNotFound
	}
	return s.key(ctx, "api_key.user_id = ? AND api_key.token_name = ?", user, plain(name))
}

func (s *Store) key(ctx context.Context, where string, args ...any) (APIKey, error) {
	var k APIKey
	err := s.read.NewSelect().Model(&k).Relation("User").Where(where, args...).Scan(ctx)
	return k, translate(err)
}

// KeyFilter selects keys; zero fields select all.
type KeyFilter struct {
	UserID    uuid.UUID
	LoginType LoginType
}

// APIKeys lists keys that have not expired, newest first.
func (s *Store) APIKeys(ctx context.Context, f KeyFilter) ([]APIKey, error) {
	list := []APIKey{}
	q := s.read.NewSelect().Model(&list).Relation("User").Where("api_key.expires_at > ?", now())
	if f.UserID != uuid.Nil {
		q.Where("api_key.user_id = ?", f.UserID)
	}
	if f.LoginType != "" {
		q.Where("api_key.login_type = ?", f.LoginType)
	}
	err := q.Order("api_key.created_at DESC", "api_key.id").Scan(ctx)
	return list, translate(err)
}

// KeyUse is one use of a key.
type KeyUse struct {
	At        time.Time
	IPAddress string
	ExpiresAt time.Time // the key's, or later to extend it
}

// Due reports whether TouchAPIKey would write, as far as the row that the
// caller has read says.
func (k *APIKey) Due(u KeyUse) bool {
	return !k.LastUsed.After(u.At.Add(-touchEvery)) || !k.ExpiresAt.After(u.ExpiresAt.Add(-touchEvery))
}

// TouchAPIKey writes down a use of the key: when, from where, and until when
// the key is now good; that its user was seen; and that a dormant user is
// active. It reports whether it wrote, which it does at most hourly, or when
// the expiry moves by an hour or more. A deleted key is not written.
func (s *Store) TouchAPIKey(ctx context.Context, id string, u KeyUse) (bool, error) {
	u.At, u.ExpiresAt = at(u.At), at(u.ExpiresAt)
	wrote := false
	err := s.change(ctx, func(ctx context.Context, tx bun.Tx) (err error) {
		q := tx.NewUpdate().Model((*APIKey)(nil)).Where("id = ?", id).
			Where("(last_used IS NULL OR last_used <= ? OR expires_at <= ?)", u.At.Add(-touchEvery), u.ExpiresAt.Add(-touchEvery)).
			Set("last_used = ?, updated_at = ?, ip_address = ?, expires_at = ?", u.At, u.At, u.IPAddress, u.ExpiresAt)
		if wrote, err = changeAny(ctx, q); err != nil || !wrote {
			return err
		}
		seen := tx.NewUpdate().Model((*User)(nil)).Where("id = (SELECT user_id FROM api_keys WHERE id = ?)", id)
		seen.Set("last_seen_at = ?", u.At)
		seen.Set("status = CASE status WHEN ? THEN ? ELSE status END", UserDormant, UserActive)
		_, err = seen.Exec(ctx)
		return err
	})
	return wrote, err
}

// DeleteAPIKey ends one session or token; ErrNotFound when there is none.
func (s *Store) DeleteAPIKey(ctx context.Context, id string) error {
	return changeOne(ctx, s.write.NewDelete().Model((*APIKey)(nil)).Where("id = ?", plain(id)))
}

// DeleteAPIKeys ends all sessions and tokens of a user.
func (s *Store) DeleteAPIKeys(ctx context.Context, user uuid.UUID) error {
	return translate(deleteKeys(ctx, s.write, user))
}

// LogOut ends the session and everything that opens apps for its user.
// ErrNotFound when the session is gone already.
func (s *Store) LogOut(ctx context.Context, id string) error {
	return s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		var k APIKey
		if err := tx.NewSelect().Model(&k).Where("id = ?", id).Scan(ctx); err != nil {
			return err
		}
		q := tx.NewDelete().Model((*APIKey)(nil)).Where("id = ? OR (user_id = ? AND scope = ?)", id, k.UserID, ScopeApplicationConnect)
		_, err := q.Exec(ctx)
		return err
	})
}

// DeleteExpiredAPIKeys removes keys that expired before then, and returns how
// many. They are kept for a while so that their use gets a precise answer.
func (s *Store) DeleteExpiredAPIKeys(ctx context.Context, then time.Time) (int, error) {
	res, err := s.write.NewDelete().Model((*APIKey)(nil)).Where("expires_at < ?", at(then)).Exec(ctx)
	if err != nil {
		return 0, translate(err)
	}
	n, err := res.RowsAffected()
	return int(n), err
}

func deleteKeys(ctx context.Context, db bun.IDB, user uuid.UUID) error {
	_, err := db.NewDelete().Model((*APIKey)(nil)).Where("user_id = ?", user).Exec(ctx)
	return err
}
