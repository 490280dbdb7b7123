package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
)

// minPostgres is PostgreSQL 13 as server_version_num writes it.
const minPostgres = 130000

func openPostgres(ctx context.Context, cfg Config) (*Store, error) {
	conf, err := pgx.ParseConfig(cfg.PostgresURL)
	if err != nil {
		// The error of pgx leaves the password out.
		return nil, fmt.Errorf("open database: %w", err)
	}
	// bun writes values into the statement, so each text is new: preparing
	// it would cost a round trip and fill the server with statements.
	conf.DefaultQueryExecMode = pgx.QueryExecModeExec

	db := stdlib.OpenDB(*conf)
	db.SetMaxOpenConns(cfg.MaxConns)
	db.SetMaxIdleConns(cfg.MaxConns)
	handle := bun.NewDB(db, pgdialect.New())
	s := &Store{write: handle, read: handle}
	if err := s.checkPostgres(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s at %s: %w", conf.Database, conf.Host, err), s.Close())
	}
	return s, nil
}

func (s *Store) checkPostgres(ctx context.Context) error {
	var version int
	err := s.read.NewRaw("SELECT current_setting('server_version_num')::int").Scan(ctx, &version)
	if err != nil {
		return err
	}
	if version < minPostgres {
		return fmt.Errorf("PostgreSQL %d is too old, 13 or newer is needed", version/10000)
	}
	return nil
}
