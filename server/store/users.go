package store

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// LoginType is how a user or a key came in.
type LoginType string

const (
	LoginPassword LoginType = "password"
	LoginGitHub   LoginType = "github"
	LoginOIDC     LoginType = "oidc"
	LoginToken    LoginType = "token" // keys only: made by hand, with a name
	LoginNone     LoginType = "none"  // users only: never logs in
)

// UserStatus says whether a user may act.
type UserStatus string

const (
	UserActive    UserStatus = "active"
	UserDormant   UserStatus = "dormant"   // not seen yet or for long; the next use of a key wakes it
	UserSuspended UserStatus = "suspended" // may do nothing
)

// RoleOwner is the role of the first user. What roles allow is decided in
// server/auth.
const RoleOwner = "owner"

// User is a row of users.
type User struct {
	ID             uuid.UUID `bun:",pk"`
	Username       string
	Email          string
	Name           string
	AvatarURL      string
	HashedPassword Secret
	LoginType      LoginType
	Status         UserStatus
	Roles          []string // site roles, without member, which all have
	CreatedAt      time.Time
	UpdatedAt      time.Time
	LastSeenAt     time.Time `bun:",nullzero"`
	DeletedAt      time.Time `bun:",nullzero"`
}

// NewUser is what CreateUser needs to know.
type NewUser struct {
	Username       string
	Email          string
	Name           string
	AvatarURL      string
	HashedPassword Secret
	LoginType      LoginType  // empty means password
	Status         UserStatus // empty means active
	Roles          []string
}

func (n NewUser) row() User {
	u := User{
		ID: uuid.New(), Username: n.Username, Email: n.Email, Name: n.Name, AvatarURL: n.AvatarURL,
		HashedPassword: n.HashedPassword, LoginType: n.LoginType, Status: n.Status, Roles: n.Roles,
		CreatedAt: now(),
	}
	u.UpdatedAt = u.CreatedAt
	if u.LoginType == "" {
		u.LoginType = LoginPassword
	}
	if u.Status == "" {
		u.Status = UserActive
	}
	if u.Roles == nil {
		u.Roles = []string{}
	}
	return u
}

func (n NewUser) check() error {
	if err := CheckUsername(n.Username); err != nil {
		return err
	}
	if err := checkEmail(n.Email); err != nil {
		return err
	}
	return checkText("name", n.Name)
}

// CreateUser adds a user. Errors: *InvalidError; *ConflictError for a username
// or email that is taken, in any case.
func (s *Store) CreateUser(ctx context.Context, n NewUser) (User, error) {
	if err := n.check(); err != nil {
		return User{}, err
	}
	u := n.row()
	_, err := s.write.NewInsert().Model(&u).Exec(ctx)
	return u, translate(err)
}

// CreateFirstUser adds the owner of an empty deployment. Exactly one call ever
// succeeds, whatever happens at the same time; the others get a
// *ConflictError of first_user. A deleted user counts: a deployment does not
// become free for the taking.
func (s *Store) CreateFirstUser(ctx context.Context, n NewUser) (User, error) {
	if err := n.check(); err != nil {
		return User{}, err
	}
	n.Roles = []string{RoleOwner}
	u := n.row()
	err := s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		mark := deploymentValue{Key: "first_user", Value: u.ID[:], CreatedAt: u.CreatedAt}
		won, err := changeAny(ctx, tx.NewInsert().Model(&mark).On("CONFLICT DO NOTHING"))
		if err != nil {
			return err
		}
		some, err := tx.NewSelect().Model((*User)(nil)).Exists(ctx)
		if err != nil {
			return err
		}
		if some || !won {
			return &ConflictError{Field: "first_user"}
		}
		_, err = tx.NewInsert().Model(&u).Exec(ctx)
		return err
	})
	return u, err
}

// HasUsers reports whether the deployment was ever set up.
func (s *Store) HasUsers(ctx context.Context) (bool, error) {
	some, err := s.read.NewSelect().Model((*User)(nil)).Exists(ctx)
	return some, translate(err)
}

// UserByID returns ErrNotFound for an unknown or deleted user.
func (s *Store) UserByID(ctx context.Context, id uuid.UUID) (User, error) {
	return s.user(ctx, "id = ?", id)
}

// UserByUsername finds a name in any case; ErrNotFound as UserByID.
func (s *Store) UserByUsername(ctx context.Context, username string) (User, error) {
	return s.user(ctx, "lower(username) = lower(?)", plain(username))
}

// UserByEmail finds an address in any case; ErrNotFound as UserByID.
func (s *Store) UserByEmail(ctx context.Context, email string) (User, error) {
	return s.user(ctx, "lower(email) = lower(?)", plain(email))
}

func (s *Store) user(ctx context.Context, where string, arg any) (User, error) {
	var u User
	err := s.read.NewSelect().Model(&u).Where(where, arg).Where("deleted_at IS NULL").Scan(ctx)
	return u, translate(err)
}

// UpdateUserProfile changes what users may change themselves. Errors as
// CreateUser and UserByID.
func (s *Store) UpdateUserProfile(ctx context.Context, id uuid.UUID, username, name string) (User, error) {
	if err := CheckUsername(username); err != nil {
		return User{}, err
	}
	if err := checkText("name", name); err != nil {
		return User{}, err
	}
	return s.updateUser(ctx, id, false, "username = ?, name = ?", username, name)
}

// SetUserStatus suspends a user, or lets one act again. A suspended user's keys
// stay: they are refused while the status lasts. Errors: ErrNotFound as UserByID;
// *ConflictError of owner for the last one.
func (s *Store) SetUserStatus(ctx context.Context, id uuid.UUID, status UserStatus) (User, error) {
	return s.updateUser(ctx, id, status == UserSuspended, "status = ?", status)
}

// SetUserRoles replaces the site roles; errors as SetUserStatus.
func (s *Store) SetUserRoles(ctx context.Context, id uuid.UUID, roles []string) (User, error) {
	if roles == nil {
		roles = []string{}
	}
	return s.updateUser(ctx, id, !slices.Contains(roles, RoleOwner), "roles = ?", roles)
}

// SetUserPassword replaces the hash and deletes all keys of the user: who
// changes a password wants whoever else knew it out. ErrNotFound as UserByID.
func (s *Store) SetUserPassword(ctx context.Context, id uuid.UUID, hash Secret) error {
	return s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		q := tx.NewUpdate().Model((*User)(nil)).Set("hashed_password = ?, updated_at = ?", hash, now())
		if err := changeOne(ctx, q.Where("id = ? AND deleted_at IS NULL", id)); err != nil {
			return err
		}
		return deleteKeys(ctx, tx, id)
	})
}

// DeleteUser marks a user as deleted, frees the name and address, forgets the
// password and deletes the keys. Errors: ErrNotFound as UserByID;
// *ConflictError of workspaces while the user has some, of owner for the last
// one.
func (s *Store) DeleteUser(ctx context.Context, id uuid.UUID) error {
	return s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := keepOwner(ctx, tx, id); err != nil {
			return err
		}
		q := tx.NewUpdate().Model((*User)(nil)).Where("id = ? AND deleted_at IS NULL", id)
		q.Set("deleted_at = ?, updated_at = ?, hashed_password = ''", now(), now())
		if err := changeOne(ctx, q); err != nil {
			return err
		}
		has, err := tx.NewSelect().Model((*Workspace)(nil)).Where("owner_id = ? AND deleted_at IS NULL", id).Exists(ctx)
		if err != nil {
			return err
		}
		if has {
			return &ConflictError{Field: "workspaces"}
		}
		if _, err := tx.NewDelete().Model((*GitSSHKey)(nil)).Where("user_id = ?", id).Exec(ctx); err != nil {
			return err
		}
		return deleteKeys(ctx, tx, id)
	})
}

// updateUser changes a row; takesOwner says that its user would not be an owner
// any more, or not an active one.
func (s *Store) updateUser(ctx context.Context, id uuid.UUID, takesOwner bool, set string, args ...any) (User, error) {
	var u User
	err := s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		if takesOwner {
			if err := keepOwner(ctx, tx, id); err != nil {
				return err
			}
		}
		q := tx.NewUpdate().Model((*User)(nil)).Set(set, args...).Set("updated_at = ?", now())
		if err := changeOne(ctx, q.Where("id = ? AND deleted_at IS NULL", id)); err != nil {
			return err
		}
		return tx.NewSelect().Model(&u).Where("id = ?", id).Scan(ctx)
	})
	return u, err
}
