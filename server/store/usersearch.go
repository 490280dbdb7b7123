package store

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// MaxPage bounds every list that pages.
const MaxPage = 1000

// UserFilter selects users; zero fields select all.
type UserFilter struct {
	Search string // part of the username, e-mail address or name, in any case
	Status UserStatus
	Role   string // "member" is everybody

	LoginType      LoginType
	CreatedAfter   time.Time
	CreatedBefore  time.Time
	LastSeenAfter  time.Time
	LastSeenBefore time.Time // selects those too who were never seen
	Nobody         bool      // select none

	After uuid.UUID // only those that the list has after this user

	Limit  int // 0 and more than 1000 mean 1000
	Offset int
}

// Users lists by username, and counts all that the filter selects, whatever
// After, Limit and Offset say.
func (s *Store) Users(ctx context.Context, f UserFilter) ([]User, int, error) {
	list := []User{}
	count, err := s.read.NewSelect().Model(&list).Apply(f.apply).Count(ctx)
	if err != nil {
		return nil, 0, translate(err)
	}
	q := s.read.NewSelect().Model(&list).Apply(f.apply).OrderExpr("lower(username)")
	if f.After != uuid.Nil {
		q.Where("lower(username) > (SELECT lower(username) FROM users WHERE id = ?)", f.After)
	}
	err = q.Limit(page(f.Limit)).Offset(int64(f.Offset)).Scan(ctx)
	return list, int(count), translate(err)
}

func (f UserFilter) apply(q *bun.SelectQuery) *bun.SelectQuery {
	q.Where("deleted_at IS NULL")
	if f.Search != "" {
		part := contains(f.Search)
		q.Where(`(lower(username) LIKE ? ESCAPE '\' OR lower(email) LIKE ? ESCAPE '\' OR lower(name) LIKE ? ESCAPE '\')`, part, part, part)
	}
	if f.Status != "" {
		q.Where("status = ?", f.Status)
	}
	if f.LoginType != "" {
		q.Where("login_type = ?", f.LoginType)
	}
	if f.Nobody {
		q.Where("1 = 0")
	}
	if f.Role != "" && f.Role != "member" {
		quoted, _ := json.Marshal(f.Role) // a string always marshals
		q.Where(`roles LIKE ? ESCAPE '\'`, contains(string(quoted)))
	}
	return f.applyTimes(q)
}

func (f UserFilter) applyTimes(q *bun.SelectQuery) *bun.SelectQuery {
	if !f.CreatedAfter.IsZero() {
		q.Where("created_at > ?", at(f.CreatedAfter))
	}
	if !f.CreatedBefore.IsZero() {
		q.Where("created_at < ?", at(f.CreatedBefore))
	}
	if !f.LastSeenAfter.IsZero() {
		q.Where("last_seen_at > ?", at(f.LastSeenAfter))
	}
	if !f.LastSeenBefore.IsZero() {
		q.Where("(last_seen_at IS NULL OR last_seen_at < ?)", at(f.LastSeenBefore))
	}
	return q
}

// contains is the LIKE pattern, with escape \, for a part of a lower-case text.
func contains(part string) string {
	part = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(plain(part))
	return "%" + strings.ToLower(part) + "%"
}

func page(limit int) int64 {
	if limit <= 0 || limit > MaxPage {
		return MaxPage
	}
	return int64(limit)
}
