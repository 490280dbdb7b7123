//go:build unix

package main

import (
	"context"
	"os"
	"os/exec"
	"runtime"
)

// hasDesktop reports whether links open in a window: without one, xdg-open takes a
// browser that draws on the terminal.
func hasDesktop() bool {
	return runtime.GOOS == "darwin" || os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != ""
}

// openLink has the desktop open a link.
func openLink(ctx context.Context, link string) error {
	program := "xdg-open"
	if runtime.GOOS == "darwin" {
		program = "open"
	}
	return exec.CommandContext(ctx, program, link).Run()
}
