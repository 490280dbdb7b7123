package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

func autoupdateCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "autoupdate WORKSPACE always|never",
		Short:             "Say whether starts of a workspace run the newest version of its template",
		Example:           "  coder autoupdate dev always",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeWorkspaces(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			done := map[string]string{
				api.UpdateAlways: "Starts of workspace %q run the newest version of its template.\n",
				api.UpdateNever:  "Starts of workspace %q run the version that it has.\n",
			}[args[1]]
			if done == "" {
				return fmt.Errorf("%q: want always or never", args[1])
			}
			set := func(ctx context.Context, c *api.Client, ws api.Workspace) error {
				return c.UpdateAutomaticUpdates(ctx, ws.ID, args[1])
			}
			return workspaceChange{done: done, do: set}.run(cmd, g, args[0])
		},
	}
	cmd.Flags().BoolP("yes", "y", false, "accepted for compatibility: nothing is asked")
	cmd.Flags().Lookup("yes").Hidden = true
	return cmd
}
