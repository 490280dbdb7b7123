package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

// workspaceChange is a command that sets something about one workspace.
type workspaceChange struct {
	use, alias, short string
	done              string // with %q for the workspace
	do                func(ctx context.Context, c *api.Client, ws api.Workspace) error
}

func (ch workspaceChange) command(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:               ch.use + " WORKSPACE",
		Aliases:           []string{ch.alias},
		Short:             ch.short,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeWorkspaces(g),
		RunE:              func(cmd *cobra.Command, args []string) error { return ch.run(cmd, g, args[0]) },
	}
}

func (ch workspaceChange) run(cmd *cobra.Command, g *globals, name string) error {
	c, err := g.client(cmd.Context())
	if err != nil {
		return err
	}
	ws, err := workspace(cmd.Context(), c, name)
	if err != nil {
		return err
	}
	if err := ch.do(cmd.Context(), c, ws); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), ch.done, ws.Name)
	return err
}
