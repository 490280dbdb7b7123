package main

import (
	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

func stopCommand(g *globals) *cobra.Command {
	tr := &transition{do: api.TransitionStop, done: "stopped", reason: "cli"}
	return tr.command(g, "Stop a workspace")
}
