//go:build !linux

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// agentCommand takes the place of the command that only Linux has.
func agentCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "agent",
		Short:              "Serve this machine as a workspace (Linux only)",
		DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("the agent runs on Linux only")
		},
	}
}
