package connect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"
)

// Elsewhere reaches what a workspace reaches: other hosts and Unix sockets, by
// its SSH server. The zero value of all but Conn works; the connection that it
// needs is made at the first dial, and again when it was lost.
type Elsewhere struct {
	Conn *Conn

	mu     sync.Mutex // guards below; held while a client is made
	client *ssh.Client
}

// Dial connects to an address, host:port of the network tcp or path of the
// network unix, as seen from the workspace. It blocks until that is done or ctx
// ends, which the connection outlives.
func (e *Elsewhere) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	client, err := e.connected(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := client.DialContext(ctx, network, address)
	if err == nil {
		return conn, nil
	}
	var refused *ssh.OpenChannelError
	if ctx.Err() == nil && !errors.As(err, &refused) { // else it is the address that does not answer
		e.forget(client)
	}
	return nil, fmt.Errorf("reach %s from the workspace: %w", address, err)
}

// connected returns the client, or makes one.
func (e *Elsewhere) connected(ctx context.Context) (*ssh.Client, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.client != nil {
		return e.client, nil
	}
	conn, err := e.Conn.LastingSSH(ctx)
	if errors.Is(err, ErrRefused) {
		conn, err = e.Conn.SSH(ctx)
	}
	if err != nil {
		return nil, err
	}
	// The tailnet has authenticated and encrypted this connection; agents ask
	// for no more (see package sshclient), and their host key says nothing.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	c, channels, requests, err := ssh.NewClientConn(conn, "agent", &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if !stop() && err == nil {
		err = errors.Join(ctx.Err(), c.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect to the workspace's SSH server: %w", err), conn.Close())
	}
	e.client = ssh.NewClient(c, channels, requests)
	return e.client, nil
}

// forget drops a client that does not work, unless another follows it already.
func (e *Elsewhere) forget(client *ssh.Client) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.client == client {
		_ = client.Close()
		e.client = nil
	}
}

// Close ends the connections that were dialed. It may be called twice.
func (e *Elsewhere) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.client == nil {
		return nil
	}
	err := e.client.Close()
	e.client = nil
	return err
}
