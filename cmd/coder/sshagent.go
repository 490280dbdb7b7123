package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/berthdev/berth/connect/sshclient"
)

// findAgent reaches the SSH agent at path; "" is for that of SSH_AUTH_SOCK, or else
// of the system. One that does not answer now is an error.
func findAgent(ctx context.Context, path string) (sshclient.Dial, error) {
	from := "--identity-agent"
	if path == "" {
		from, path = "SSH_AUTH_SOCK", os.Getenv("SSH_AUTH_SOCK")
	}
	if path == "" {
		from, path = systemAgent, systemAgent
	}
	if path == "" {
		return nil, withHint(errors.New("--forward-agent: there is no SSH agent: SSH_AUTH_SOCK is not set"),
			"ssh-agent starts one, --identity-agent names one")
	}
	dial := dialingAgent(path)
	if err := probe(ctx, dial); err != nil {
		return nil, withHint(fmt.Errorf("--forward-agent: the SSH agent of %s does not answer: %w", from, err), "ssh-add -l tells whether one runs")
	}
	return dial, nil
}
