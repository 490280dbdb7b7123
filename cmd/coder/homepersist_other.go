//go:build !linux

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// homePersistCommand takes the place of the command that only Linux has.
func homePersistCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "home-persist",
		Short:              "Keep parts of the home on a volume (Linux only)",
		DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("home persistence is for Linux only")
		},
	}
}
