package main

import (
	"context"
	"os/exec"
	"syscall"
)

// shellCommand is a command line that the user gave, for the shell of the system.
// cmd.exe takes the first quote and the last one away and the rest as it is; the
// backslashes that package os/exec puts before quotes it would pass on.
func shellCommand(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "cmd.exe")
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: `cmd.exe /s /c "` + line + `"`}
	return cmd
}
