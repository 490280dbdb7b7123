package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/agent"
	"github.com/berthdev/berth/server/api"
)

// check says what an agent here would run into. The exit status is 1 when it
// would not work.
func (f agentFlags) check(cmd *cobra.Command, client *api.Client) error {
	out, failed := cmd.OutOrStdout(), false
	agent.Check(cmd.Context(), client, func(found agent.Finding) {
		word, text := "ok", found.Text
		if found.Err != nil {
			word, text = "FAIL", describe(found.Err)
			failed = failed || !found.Mild
		}
		if found.Err != nil && found.Mild {
			word = "warn"
		}
		fmt.Fprintf(out, "%-4s  %-8s %s\n", word, found.What, printable(text))
		if found.Err != nil && found.Hint != "" {
			fmt.Fprintf(out, "%14s %s\n", "", printable(found.Hint))
		}
	})
	if failed {
		return exitStatus(1)
	}
	return nil
}
