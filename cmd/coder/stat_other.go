//go:build !linux

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// statCommand takes the place of the command that only Linux has.
func statCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "stat",
		Short:              "Measure what this workspace uses (Linux only)",
		DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("workspaces, and what they use, are on Linux only")
		},
	}
}
