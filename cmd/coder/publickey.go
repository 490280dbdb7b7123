package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

func publickeyCommand(g *globals) *cobra.Command {
	var reset, yes bool
	cmd := &cobra.Command{
		Use:   "publickey",
		Short: "Print the key with which your workspaces speak to git servers",
		Long: "Print the key with which your workspaces speak to git servers, to be given to those. The\n" +
			"private half stays on the Berth server, which hands it to workspaces of yours.",
		Aliases: []string{"pubkey"},
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			c, err := g.client(ctx)
			if err != nil {
				return err
			}
			if reset && !yes {
				if err := newPrompts().confirm(ctx, "Replace your key, so that the old one opens nothing any more?"); err != nil {
					return err
				}
			}
			ask := c.GitSSHKey
			if reset {
				ask = c.ResetGitSSHKey
			}
			key, err := ask(ctx, api.Me)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), printable(key.PublicKey))
			return err
		},
	}
	cmd.Flags().BoolVar(&reset, "reset", false, "replace the key first")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
