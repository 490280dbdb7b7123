package main

import (
	"github.com/spf13/cobra"

	"github.com/berthdev/berth/agent"
	"github.com/berthdev/berth/connect/diagnose"
	"github.com/berthdev/berth/server/api"
)

// check says what an agent here would run into. The exit status is 1 when it
// would not work.
func (f agentFlags) check(cmd *cobra.Command, client *api.Client) error {
	failed := agent.Check(cmd.Context(), client, func(found diagnose.Finding) { printFinding(cmd.OutOrStdout(), found) })
	if failed {
		return exitStatus(1)
	}
	return nil
}
