// Package store keeps everything the server remembers, and holds all of its
// SQL. It runs on SQLite (one file, one server) or PostgreSQL (several
// servers), with the same schema and the same answers.
//
// Each method answers one question or makes one change, in one transaction:
// when it returns without an error the change survives a crash of the process
// and of the machine. Methods may be called from any goroutine. They return
// ErrNotFound, a *ConflictError or an *InvalidError where a caller can do
// something about it, and say which they return.
//
// Times are UTC with microseconds, and a zero time or id means "none" wherever
// a row may lack one. Rows are plain structs; a pointer to another row is set
// by every method that returns the pointing row, unless its comment says
// otherwise.
//
// Secrets enter hashed. The exceptions, tokens of agents that a user starts by
// hand and the private keys for git servers, are sealed: see AgentToken.
//
// Who may call what is decided elsewhere (server/auth): the store checks that
// data is well formed and consistent, not that somebody may see it.
package store

import (
	"context"
	"crypto/cipher"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/uptrace/bun"
)

// Config says where the data is. Exactly one of SQLitePath and PostgresURL is
// needed.
type Config struct {
	// SQLitePath is the database file. It and its directory are made when
	// missing, readable by this user only.
	SQLitePath string

	// PostgresURL is postgres://user:password@host:port/database?sslmode=…;
	// the server must be version 13 or newer.
	PostgresURL string

	// MaxConns bounds the connections to PostgreSQL, and the concurrent
	// readers of SQLite; 0 means 10.
	MaxConns int

	// Logger hears of migrations; nil discards.
	Logger *slog.Logger
}

// Store is an open database. Make one with Open and Close it.
type Store struct {
	write *bun.DB // SQLite: the only connection that writes
	read  *bun.DB // PostgreSQL: the same as write

	sealer cipher.AEAD  // of tokens of external agents and of git keys
	lock   *flock.Flock // SQLite only

	closeOnce sync.Once
	closeErr  error
}

// Open connects to the database, brings its schema up to date and makes the
// rows that every deployment has (default organization, template byo).
//
// An SQLite file that another process has open gives a *LockedError, a schema
// written by a newer version an error that says so. Several servers may open
// one PostgreSQL database at the same time: one migrates, the others wait.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.MaxConns == 0 {
		cfg.MaxConns = 10
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := s.prepare(ctx, cfg.Logger); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func connect(ctx context.Context, cfg Config) (*Store, error) {
	switch {
	case cfg.SQLitePath != "" && cfg.PostgresURL != "":
		return nil, errors.New("open database: both an SQLite file and a PostgreSQL URL are given")
	case cfg.SQLitePath != "":
		return openSQLite(ctx, cfg)
	case cfg.PostgresURL != "":
		return openPostgres(ctx, cfg)
	}
	return nil, errors.New("open database: neither an SQLite file nor a PostgreSQL URL is given")
}

func (s *Store) prepare(ctx context.Context, log *slog.Logger) error {
	if err := s.migrate(ctx, log); err != nil {
		return err
	}
	if err := s.seed(ctx); err != nil {
		return fmt.Errorf("make built-in rows: %w", err)
	}
	sealer, err := s.newSealer(ctx)
	s.sealer = sealer
	return err
}

// Close waits for running queries, closes the connections and releases the
// SQLite lock. It may be called twice.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.closeErr = s.read.Close()
		if s.write != s.read {
			s.closeErr = errors.Join(s.closeErr, s.write.Close())
		}
		if s.lock != nil {
			s.closeErr = errors.Join(s.closeErr, s.lock.Close())
		}
	})
	return s.closeErr
}

// Ping asks the database for an answer.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	return s.read.NewRaw("SELECT 1").Scan(ctx, &one)
}

// maxTries bounds how often a transaction is run that PostgreSQL ended in
// favour of another: each time at least one of those in each other's way is
// done.
const maxTries = 10

// change runs fn in a transaction that may write. SQLite runs these one at a
// time; on PostgreSQL fn first updates the row that orders it against others.
// fn may run more than once, so it only assigns to what is outside.
func (s *Store) change(ctx context.Context, fn func(ctx context.Context, tx bun.Tx) error) error {
	for try := 1; ; try++ {
		err := s.write.RunInTx(ctx, nil, fn)
		if try == maxTries || !isDeadlock(err) {
			return translate(err)
		}
	}
}

// changeOne runs one statement that must touch a row; none is ErrNotFound.
func changeOne(ctx context.Context, q interface {
	Exec(ctx context.Context, dest ...any) (sql.Result, error)
},
) error {
	changed, err := changeAny(ctx, q)
	if err == nil && !changed {
		return ErrNotFound
	}
	return err
}

// changeAny runs one statement and reports whether it touched a row.
func changeAny(ctx context.Context, q interface {
	Exec(ctx context.Context, dest ...any) (sql.Result, error)
},
) (bool, error) {
	res, err := q.Exec(ctx)
	if err != nil {
		return false, translate(err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// now is the time as both databases keep it.
func now() time.Time { return at(time.Now()) }

// at is t as both databases keep it.
func at(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
