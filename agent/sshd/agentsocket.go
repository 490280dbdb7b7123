//go:build linux

package sshd

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// agentSocket is where programs of a connection's sessions find the
// authentication agent of the client. There is one per connection, as with
// sshd, and it lives as long.
type agentSocket struct {
	dir  string // ours alone, mode 0700
	path string
	ln   net.Listener
}

func openAgentSocket(ctx context.Context) (*agentSocket, error) {
	dir, err := os.MkdirTemp("", "ssh-")
	if err != nil {
		return nil, fmt.Errorf("open agent socket: %w", err)
	}
	path := filepath.Join(dir, "agent")
	ln, err := listenPrivate(ctx, path)
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("open agent socket: %w", err)
	}
	return &agentSocket{dir: dir, path: path, ln: ln}, nil
}

func (a *agentSocket) close() {
	_ = a.ln.Close()
	_ = os.RemoveAll(a.dir)
}

// forwardAgent answers auth-agent-req@openssh.com. From then on every session
// of the connection that starts has SSH_AUTH_SOCK.
func (c *connection) forwardAgent(ctx context.Context) bool {
	if c.agentPath() != "" {
		return true
	}
	a, err := openAgentSocket(ctx)
	if err != nil {
		c.srv.log.WarnContext(ctx, "ssh agent is not forwarded", "error", err)
		return false
	}
	if !c.setAgent(a) {
		a.close()
		return c.agentPath() != ""
	}
	c.work.Go(func() {
		c.acceptForwards(ctx, a.ln, func(net.Conn) (string, []byte) { return "auth-agent@openssh.com", nil })
	})
	return true
}

// setAgent keeps a until the connection ends, unless another session was
// first or that has happened.
func (c *connection) setAgent(a *agentSocket) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.agent != nil || c.listeners == nil {
		return false
	}
	c.agent = a
	return true
}

// agentPath returns the name of the socket, "" if there is none.
func (c *connection) agentPath() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.agent == nil {
		return ""
	}
	return c.agent.path
}
