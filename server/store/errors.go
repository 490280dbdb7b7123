package store

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Kinds of errors, for errors.Is. Everything else is trouble of the database.
var (
	ErrNotFound = errors.New("not found")
	ErrConflict = errors.New("conflict")
	ErrInvalid  = errors.New("invalid")
)

// A ConflictError is an ErrConflict: what was asked collides with what is
// there.
type ConflictError struct {
	// Field is what collides: a column (username, email, name, token_name, token_hash), or
	// "build" when another build is active, "workspaces" when a user still
	// has some, "owner" for the last one, "first_user" when there is one,
	// "status" when a job is past it.
	Field string
}

func (e *ConflictError) Error() string        { return "conflict on " + e.Field }
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// An InvalidError is an ErrInvalid: a value cannot be stored.
type InvalidError struct {
	Field  string // as in the JSON of the API
	Detail string // for the user: what is wrong with it
}

func (e *InvalidError) Error() string        { return fmt.Sprintf("invalid %s: %s", e.Field, e.Detail) }
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// translate turns the two drivers' errors into ours.
func translate(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return translatePostgres(pg, err)
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return translateSQLite(lite, err)
	}
	return err
}

// isDeadlock reports whether PostgreSQL ended a transaction that is fine to run
// again: deadlock_detected or serialization_failure.
func isDeadlock(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40P01" || pg.Code == "40001")
}

func translatePostgres(pg *pgconn.PgError, err error) error {
	switch pg.Code {
	case "23505": // unique_violation
		return &ConflictError{Field: indexField(pg.ConstraintName)}
	case "23503": // foreign_key_violation
		return fmt.Errorf("row that %s points to: %w", pg.TableName, ErrNotFound)
	}
	return err
}

func translateSQLite(lite *sqlite.Error, err error) error {
	switch lite.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return &ConflictError{Field: messageField(lite.Error())}
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return fmt.Errorf("row pointed to: %w", ErrNotFound)
	}
	return err
}

// indexField finds the field in the name of a unique index, table__field.
// A primary key, table_pkey, is the field id.
func indexField(index string) string {
	if _, field, ok := strings.Cut(index, "__"); ok {
		return field
	}
	return "id"
}

// messageField finds the field in SQLite's words, which end in one of
//
//	UNIQUE constraint failed: index 'users__username' (2067)
//	UNIQUE constraint failed: api_keys.user_id, api_keys.token_name (2067)
func messageField(message string) string {
	if _, rest, ok := strings.Cut(message, "index '"); ok {
		index, _, _ := strings.Cut(rest, "'")
		return indexField(index)
	}
	column := message[strings.LastIndexByte(message, '.')+1:]
	column, _, _ = strings.Cut(column, " ")
	return column
}
