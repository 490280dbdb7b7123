//go:build unix

package main

import (
	"context"
	"os/exec"
)

// shellCommand is a command line that the user gave, for the shell of the system.
func shellCommand(ctx context.Context, line string) *exec.Cmd {
	return exec.CommandContext(ctx, "sh", "-c", line)
}
