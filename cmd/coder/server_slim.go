//go:build slim

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// slim reports that this build has no server.
const slim = true

// serverCommand takes the place of the command that this build lacks, so that
// the user learns why.
func serverCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "server",
		Short:              "Not in this build",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return withHint(errors.New("this slim build has no server"), "use the full build: "+homepage)
		},
	}
}
