//go:build !slim

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server"
	"github.com/berthdev/berth/server/store"
)

// resetPassword is one run of reset-password.
type resetPassword struct {
	db       serverOptions // where the database is
	password string
}

func resetPasswordCommand() *cobra.Command {
	o := &resetPassword{}
	cmd := &cobra.Command{
		Use:   "reset-password USERNAME|EMAIL",
		Short: "Set the password of a user in a server's database",
		Long: "Set the password of a user in a server's database, for whoever is locked out. Sessions and\n" +
			"tokens of the user end. It needs the options of the server that say where its database is;\n" +
			"a server with SQLite must be stopped first.",
		Example: "  coder reset-password ann --data-dir /var/lib/berth",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.run(cmd.Context(), args[0]); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "The password of user %q is changed.\n", args[0])
			return err
		},
	}
	for _, opt := range o.db.table() {
		if opt.flag == "data-dir" || opt.flag == "postgres-url" {
			opt.register(cmd.Flags())
		}
	}
	cmd.Flags().StringVarP(&o.password, "password", "p", "", "`password` to set, which others on this machine can see; asked for if not given")
	return cmd
}

func (o *resetPassword) run(ctx context.Context, user string) error {
	cfg := server.Config{DataDir: o.db.dataDir, PostgresURL: o.db.postgresURL}
	if cfg.DataDir == "" && cfg.PostgresURL == "" {
		var err error
		if cfg.DataDir, err = dataDir(); err != nil {
			return err
		}
	}
	ask := newPrompts()
	if err := askMissing(ctx, []question{{&o.password, "New password of " + user, "--password", ask.newPassword}}); err != nil {
		return err
	}
	err := server.ResetPassword(ctx, cfg, user, o.password)
	if locked := (*store.LockedError)(nil); errors.As(err, &locked) {
		return withHint(err, "stop the server, or have an owner of it set the password")
	}
	return err
}
