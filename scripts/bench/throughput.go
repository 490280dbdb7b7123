//go:build linux

package main

import (
	"context"
	"os/exec"
	"time"
)

const (
	throughputBytes = 256 << 20
	throughputRuns  = 3
)

// throughput measures an upload into one session, as scp and rsync do it. Our
// bytes are encrypted twice, by SSH and by WireGuard, and cross two user space
// stacks; OpenSSH's cross the kernel's loopback.
func throughput(ctx context.Context, e *environment) ([]row, error) {
	d, err := e.deployHere(ctx)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	peer, err := e.startSSHD(ctx, exec.CommandContext, "127.0.0.1")
	if err != nil {
		return nil, err
	}
	defer peer.Close()
	const command = "cat > /dev/null"
	withInput := func(cmd *exec.Cmd) *exec.Cmd {
		cmd.Stdin = &zeros{left: throughputBytes}
		return cmd
	}
	took, err := alternate(throughputRuns,
		func() *exec.Cmd {
			return withInput(d.user(ctx, exec.CommandContext, e.coder, "ssh", "ws", "--", command))
		},
		func() *exec.Cmd { return withInput(peer.ssh(ctx, exec.CommandContext, command)) },
	)
	if err != nil {
		return nil, err
	}
	rate := func(ms float64) float64 {
		return throughputBytes * 8 / 1e9 / time.Duration(ms*float64(time.Millisecond)).Seconds()
	}
	return []row{{
		name: "coder ssh ws 'cat > /dev/null', direct, 256 MiB", value: rate(median(took[0])), unit: "Gbit/s",
		peer: "ssh to sshd", peerValue: rate(median(took[1])),
	}}, nil
}
