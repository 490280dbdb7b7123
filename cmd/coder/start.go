package main

import (
	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

func startCommand(g *globals) *cobra.Command {
	tr := &transition{do: api.TransitionStart, done: "running"}
	cmd := tr.command(g, "Start a workspace")
	cmd.Flags().BoolVar(&tr.noWait, "no-wait", false, "do not wait for the end of the build")
	tr.parameters.register(cmd.Flags())
	cmd.Flags().StringVar(&tr.reason, "reason", "cli", "what the workspace is started for")
	cmd.Flags().Lookup("reason").Hidden = true
	return cmd
}

func updateCommand(g *globals) *cobra.Command {
	tr := &transition{do: api.TransitionStart, done: "running", again: true}
	cmd := tr.command(g, "Start a workspace anew, with the template and the parameters of now")
	cmd.Use = "update WORKSPACE"
	cmd.Flags().BoolVar(&tr.noWait, "no-wait", false, "do not wait for the end of the build")
	cmd.Flags().StringVar(&tr.version, "template-version", "", "`name` of the version of the template, if not the active one")
	tr.parameters.register(cmd.Flags())
	tr.reason = "cli"
	return cmd
}
