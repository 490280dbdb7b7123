//go:build unix

package main

import (
	"context"
	"os/exec"
	"runtime"
)

// openLink has the desktop open a link.
func openLink(ctx context.Context, link string) error {
	program := "xdg-open"
	if runtime.GOOS == "darwin" {
		program = "open"
	}
	return exec.CommandContext(ctx, program, link).Run()
}
