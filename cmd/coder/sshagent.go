package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/berthdev/berth/connect/sshclient"
)

// findAgent reaches the SSH agent behind the socket path; "" is for that of
// SSH_AUTH_SOCK. One that does not answer now is an error.
func findAgent(ctx context.Context, path string) (sshclient.Dial, error) {
	from := "--identity-agent"
	if path == "" {
		from, path = "SSH_AUTH_SOCK", os.Getenv("SSH_AUTH_SOCK")
	}
	if path == "" {
		return nil, withHint(errors.New("--forward-agent: there is no SSH agent: SSH_AUTH_SOCK is not set"),
			"ssh-agent starts one, --identity-agent names one")
	}
	if strings.HasPrefix(path, `\\.\pipe\`) {
		return nil, withHint(fmt.Errorf("--forward-agent: %s is a pipe, and only sockets can be forwarded", path),
			"use ssh -A, which forwards pipes: see coder config-ssh")
	}
	dial := dialing("unix", path)
	if err := probe(ctx, dial); err != nil {
		return nil, withHint(fmt.Errorf("--forward-agent: the SSH agent of %s does not answer: %w", from, err), "ssh-add -l tells whether one runs")
	}
	return dial, nil
}
