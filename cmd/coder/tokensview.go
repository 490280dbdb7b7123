package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

func tokenColumns(now time.Time) []column[api.APIKey] {
	return []column[api.APIKey]{
		{name: "id", value: func(k api.APIKey) string { return k.ID }},
		{name: "name", value: func(k api.APIKey) string { return k.TokenName }},
		{name: "last used", value: func(k api.APIKey) string { return ago(k.LastUsed, now) }},
		{name: "expires at", value: func(k api.APIKey) string { return k.ExpiresAt.Local().Format(time.DateTime) }},
		{name: "created at", value: func(k api.APIKey) string { return k.CreatedAt.Local().Format(time.DateTime) }},
		{name: "owner", value: func(k api.APIKey) string { return k.Username }, hidden: true},
		{name: "scope", value: func(k api.APIKey) string { return k.Scope }, hidden: true},
	}
}

func tokensViewCommand(g *globals) *cobra.Command {
	f := &format[api.APIKey]{columns: tokenColumns(time.Now())}
	cmd := &cobra.Command{
		Use:   "view NAME-OR-ID",
		Short: "Show a token of yours, but for its secret",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.client(cmd.Context())
			if err != nil {
				return err
			}
			k, err := findToken(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			return f.print(cmd.OutOrStdout(), []api.APIKey{k}, nil)
		},
	}
	f.register(cmd)
	return cmd
}
