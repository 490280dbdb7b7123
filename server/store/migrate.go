package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/uptrace/bun/dialect"
)

// migrations are numbered files that both dialects run. A file that was
// released is never edited: change the schema in a new one.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema to the newest version. Servers that start together
// on PostgreSQL take turns by an advisory lock; SQLite has the file lock.
func (s *Store) migrate(ctx context.Context, log *slog.Logger) error {
	p, err := s.migrator()
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	done, err := p.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	for _, m := range done {
		log.Info("database migrated", "version", m.Source.Version, "duration", m.Duration)
	}
	// Up leaves a newer schema as it is, so looking afterwards sees it too,
	// without a gap in which somebody else could migrate.
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read database version: %w", err)
	}
	if have > want {
		return fmt.Errorf("database has schema version %d, written by a newer version of this program, which knows %d: install that version or restore the backup made before the upgrade", have, want)
	}
	return nil
}

func (s *Store) migrator() (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	opts := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if s.write.Dialect().Name() == dialect.SQLite {
		return goose.NewProvider(goose.DialectSQLite3, s.write.DB, files, opts...)
	}
	// One try a second for five minutes: another server may be migrating.
	turn, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
	if err != nil {
		return nil, errors.New("make migration lock")
	}
	opts = append(opts, goose.WithSessionLocker(turn))
	return goose.NewProvider(goose.DialectPostgres, s.write.DB, files, opts...)
}
