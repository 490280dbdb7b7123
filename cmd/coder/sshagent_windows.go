package main

import (
	"context"
	"net"
	"strings"

	"github.com/Microsoft/go-winio"

	"github.com/berthdev/berth/connect/sshclient"
)

// systemAgent is where the ssh-agent service of Windows is, and where its ssh looks
// for it.
const systemAgent = `\\.\pipe\openssh-ssh-agent`

// dialingAgent reaches the SSH agent at path, which is a pipe or a socket. ssh takes
// pipes with slashes too, and so do we.
func dialingAgent(path string) sshclient.Dial {
	pipe := strings.ReplaceAll(path, "/", `\`)
	if !strings.HasPrefix(pipe, `\\.\pipe\`) {
		return dialing("unix", path)
	}
	return func(ctx context.Context) (net.Conn, error) { return winio.DialPipeContext(ctx, pipe) }
}
