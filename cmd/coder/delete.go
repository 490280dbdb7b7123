package main

import (
	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

func deleteCommand(g *globals) *cobra.Command {
	tr := &transition{do: api.TransitionDelete, done: "deleted", reason: "cli"}
	cmd := tr.command(g, "Delete a workspace and what it is made of")
	cmd.Aliases = []string{"rm"}
	cmd.Flags().BoolVar(&tr.orphan, "orphan", false, "forget the workspace without destroying its resources")
	cmd.Flags().BoolVar(&tr.yes, "force", false, "the same as --yes")
	return cmd
}
