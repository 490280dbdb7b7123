package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

func favoriteCommand(g *globals) *cobra.Command {
	return workspaceChange{
		use: "favorite", alias: "fav", short: "Have a workspace of yours listed first", done: "Workspace %q is a favorite.\n",
		do: func(ctx context.Context, c *api.Client, ws api.Workspace) error {
			return c.SetFavorite(ctx, ws.ID, true)
		},
	}.command(g)
}

func unfavoriteCommand(g *globals) *cobra.Command {
	return workspaceChange{
		use: "unfavorite", alias: "unfav", short: "Have a workspace of yours listed among the others", done: "Workspace %q is no favorite.\n",
		do: func(ctx context.Context, c *api.Client, ws api.Workspace) error {
			return c.SetFavorite(ctx, ws.ID, false)
		},
	}.command(g)
}
