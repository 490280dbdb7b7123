package auth

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	validator "github.com/wagslane/go-password-validator"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/store"
)

// A stored password is
//
//	$pbkdf2-sha256$<iterations>$<salt>$<key>
//
// with salt and key in base64 without padding. New ones have these numbers; the
// iterations of a row count, so that they can be raised later.
const (
	hashScheme     = "pbkdf2-sha256"
	hashIterations = 65535
	hashSaltLen    = 16
	hashKeyLen     = 64

	maxIterations = 10_000_000 // of a row: seconds; more is a broken row
)

const (
	minEntropy     = 52 // bits, as go-password-validator counts them
	maxPasswordLen = 64 // characters
)

// CheckPassword returns an *store.InvalidError for a password that nobody
// should set: easily guessed, or longer than 64 characters.
func CheckPassword(password string) error {
	if utf8.RuneCountInString(password) > maxPasswordLen {
		return &store.InvalidError{Field: "password", Detail: fmt.Sprintf("must be at most %d characters", maxPasswordLen)}
	}
	if err := validator.Validate(password, minEntropy); err != nil {
		return &store.InvalidError{Field: "password", Detail: err.Error()}
	}
	return nil
}

// HashPassword returns what to store. It takes tens of milliseconds of one
// core, as VerifyPassword does: callers bound how often strangers cause that.
func HashPassword(password string) (Secret, error) {
	salt := make([]byte, hashSaltLen)
	rand.Read(salt) // never fails: the program ends instead
	key, err := pbkdf2.Key(sha256.New, password, salt, hashIterations, hashKeyLen)
	if err != nil {
		return Secret{}, fmt.Errorf("hash password: %w", err)
	}
	return store.NewSecret(fmt.Sprintf("$%s$%d$%s$%s", hashScheme, hashIterations,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))), nil
}

// VerifyPassword reports whether the password has this hash. A user without a
// hash (zero) costs the same as a wrong password. An error means a broken row.
func VerifyPassword(hash Secret, password string) (bool, error) {
	if hash.IsZero() {
		_, err := nobody().verify(password)
		return false, err
	}
	h, err := parseHash(hash.Reveal())
	if err != nil {
		return false, err
	}
	return h.verify(password)
}

type passwordHash struct {
	iterations int
	salt, key  []byte
}

// nobody is a hash that no password is known for and that costs the usual.
func nobody() passwordHash {
	return passwordHash{iterations: hashIterations, salt: make([]byte, hashSaltLen), key: make([]byte, hashKeyLen)}
}

func (h passwordHash) verify(password string) (bool, error) {
	key, err := pbkdf2.Key(sha256.New, password, h.salt, h.iterations, len(h.key))
	if err != nil {
		return false, fmt.Errorf("verify password: %w", err)
	}
	return subtle.ConstantTimeCompare(key, h.key) == 1, nil
}

func parseHash(text string) (passwordHash, error) {
	part := strings.Split(text, "$")
	if len(part) != 5 || part[0] != "" || part[1] != hashScheme {
		return passwordHash{}, errors.New("stored password has an unknown form")
	}
	iterations, err := strconv.Atoi(part[2])
	if err != nil || iterations < 1 || iterations > maxIterations {
		return passwordHash{}, errors.New("stored password has a bad iteration count")
	}
	salt, err := base64.RawStdEncoding.DecodeString(part[3])
	if err != nil || len(salt) == 0 {
		return passwordHash{}, errors.New("stored password has a bad salt")
	}
	key, err := base64.RawStdEncoding.DecodeString(part[4])
	if err != nil || len(key) < sha256.Size || len(key) > hashKeyLen {
		return passwordHash{}, errors.New("stored password has a bad key")
	}
	return passwordHash{iterations: iterations, salt: salt, key: key}, nil
}

// Errors of LogIn, with the texts for users.
var (
	ErrCredentials = errors.New("incorrect email or password")
	ErrLoginType   = errors.New("this user does not log in with a password")
)

// LogIn returns the user with this e-mail address and password. Errors:
// ErrCredentials for an unknown address as for a wrong password, in the same
// time; with the right password, *UnauthenticatedError for a suspended user and
// ErrLoginType for one who logs in elsewhere.
func (a *Authenticator) LogIn(ctx context.Context, email, password string) (store.User, error) {
	u, err := a.store.UserByEmail(ctx, email)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return store.User{}, fmt.Errorf("read user: %w", err)
	}
	ok, err := VerifyPassword(u.HashedPassword, password)
	switch {
	case err != nil:
		return store.User{}, err
	case !ok:
		return store.User{}, ErrCredentials
	case u.Status == store.UserSuspended:
		return store.User{}, suspended(u)
	case u.LoginType != store.LoginPassword:
		return store.User{}, ErrLoginType
	}
	return u, nil
}

func suspended(u store.User) error {
	return &UnauthenticatedError{Message: fmt.Sprintf(
		api.MessageNotActive+" (status = %q). Contact an admin to reactivate your account.", u.Status)}
}
