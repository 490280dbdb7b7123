//go:build linux

package main

import (
	"context"
	"fmt"
	"math"
	"os/exec"
	"slices"
	"time"
)

// loopbackRuns is how often each command is run; the median of so many moves
// by a few per cent between runs on a machine that does other work too.
const loopbackRuns = 41

// sessions measures a cold session on loopback: the process starts, connects,
// runs `true` and ends. The commands take turns, so that what else the machine
// does hits them alike.
func sessions(ctx context.Context, e *environment) (_ []row, err error) {
	d, err := e.deploy(ctx, exec.CommandContext, "127.0.0.1")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	agent, err := d.agent(ctx, exec.CommandContext, e.slim)
	if err != nil {
		return nil, err
	}
	peer, err := e.startSSHD(ctx, exec.CommandContext, "127.0.0.1")
	if err != nil {
		return nil, err
	}
	defer peer.Close()
	took, err := alternate(loopbackRuns,
		func() *exec.Cmd { return d.user(ctx, exec.CommandContext, e.coder, "ssh", "ws", "--", "true") },
		func() *exec.Cmd { return d.user(ctx, exec.CommandContext, e.slim, "ssh", "ws", "--", "true") },
		func() *exec.Cmd { return peer.ssh(ctx, exec.CommandContext, "true") },
	)
	if err != nil {
		return nil, err
	}
	bare, err := withoutStartFiles(ctx, e, d, agent)
	if err != nil {
		return nil, err
	}
	beside := median(took[2])
	limits := []limit{ratioAtMost(1)}
	return []row{
		{"cold coder ssh, loopback, p50", median(took[0]), "ms", "ssh to sshd", beside, limits, nil},
		{"cold coder ssh, slim binary, loopback, p50", median(took[1]), "ms", "ssh to sshd", beside, limits, nil},
		{"cold coder ssh, loopback, no shell start files, p50", bare, "ms", "", 0, []limit{atMost(80)}, nil},
	}, nil
}

// withoutStartFiles is the time of a session whose shell has no start files to
// read: those of the home directory are the user's business.
func withoutStartFiles(ctx context.Context, e *environment, d *deployment, agent *process) (float64, error) {
	if err := agent.Close(); err != nil {
		return 0, err
	}
	home, err := e.subdir("home")
	if err != nil {
		return 0, err
	}
	agent, err = d.agent(ctx, exec.CommandContext, e.slim, "HOME="+home)
	if err != nil {
		return 0, err
	}
	d.closeLater(agent)
	took, err := alternate(loopbackRuns, func() *exec.Cmd { return d.user(ctx, exec.CommandContext, e.coder, "ssh", "ws", "--", "true") })
	if err != nil {
		return 0, err
	}
	return median(took[0]), nil
}

// alternate runs the commands n times in turn, after one time that does not
// count, and returns how long each took, in milliseconds.
func alternate(n int, commands ...func() *exec.Cmd) ([][]float64, error) {
	took := make([][]float64, len(commands))
	for i := range n + 1 {
		for k, command := range commands {
			t, err := timed(command())
			if err != nil {
				return nil, fmt.Errorf("run %d: %w", i, err)
			}
			if i > 0 {
				took[k] = append(took[k], milliseconds(t))
			}
		}
	}
	return took, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func median(values []float64) float64 { return percentile(values, 0.5) }

// percentile is the smallest value that a share p of the values do not exceed.
func percentile(values []float64, p float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, max(0, int(math.Ceil(p*float64(len(sorted))))-1))]
}
