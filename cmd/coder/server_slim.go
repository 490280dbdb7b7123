//go:build slim

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// slim reports that this build has no server.
const slim = true

func serverCommand() *cobra.Command { return notHere("server") }

func resetPasswordCommand() *cobra.Command { return notHere("reset-password") }

// notHere takes the place of a command that this build lacks, so that the user
// learns why.
func notHere(name string) *cobra.Command {
	return &cobra.Command{
		Use:                name,
		Short:              "Not in this build",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return withHint(errors.New("this slim build has no server"), "use the full build: "+homepage)
		},
	}
}
