//go:build linux

package e2e

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"

	"github.com/berthdev/berth/tailnet/netlab"
)

// User is a signed in user at a host.
type User struct {
	Host *netlab.Host
	Env  []string // more of it may be added

	world *World
}

// Result is what a program did.
type Result struct {
	Stdout, Stderr string
	Code           int // exit status; -1 when a signal or the context ended it
}

// Coder is the coder command as the user types it. ctx kills it.
func (u *User) Coder(ctx context.Context, args ...string) *exec.Cmd {
	return u.world.Coder(ctx, u.Host, u.Env, args...)
}

// OpenSSH is a program of OpenSSH, or one that runs it, which reaches
// workspaces by `coder ssh --stdio`. The arguments of such a program are the
// caller's business: see SSHOptions.
func (u *User) OpenSSH(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := u.Host.Command(ctx, program, args...)
	cmd.Env = u.world.environ(u.Host, u.Env...)
	cmd.Dir = u.world.Dir(u.Host.Name())
	return cmd
}

// SSHOptions are the options that make ssh, scp and sftp reach workspaces.
func (u *User) SSHOptions() []string {
	return []string{
		"-F", "/dev/null", "-o", "ProxyCommand=" + u.world.binary + " ssh --stdio %h",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes",
	}
}

// SSH is OpenSSH's ssh with SSHOptions.
func (u *User) SSH(ctx context.Context, args ...string) *exec.Cmd {
	return u.OpenSSH(ctx, "ssh", append(u.SSHOptions(), args...)...)
}

// Run is the coder command, run to its end.
func (u *User) Run(ctx context.Context, args ...string) Result {
	u.world.t.Helper()
	return u.world.Run(u.Coder(ctx, args...))
}

// MustRun is Run that fails the test when the command does, and returns what it
// wrote to stdout.
func (u *User) MustRun(args ...string) string {
	u.world.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r := u.Run(ctx, args...)
	if r.Code != 0 {
		u.world.t.Fatalf("coder %s: exit status %d\n%s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// Run runs a command to its end. That it could not be started fails the test.
func (w *World) Run(cmd *exec.Cmd) Result {
	w.t.Helper()
	var out, errs bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &out
	}
	cmd.Stderr = &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("run %q: %v\n%s", cmd.Args, err, errs.String())
	}
	return Result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}
