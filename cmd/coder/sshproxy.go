package main

import (
	"context"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// copySize is that of the buffers between the tailnet and OpenSSH: large, since
// a big packet of the relay is 32 KB.
const copySize = 256 << 10

// proxyGrace is how long the other end may take to hang up after OpenSSH has.
const proxyGrace = time.Second

// proxy carries an SSH connection between stdin, stdout and conn, until either
// end hangs up or ctx ends.
func proxy(ctx context.Context, conn net.Conn) error {
	in := make(chan struct{})
	go func() { // left behind in its read when the other end hangs up first
		defer close(in)
		copyAll(conn, os.Stdin)
		closeWrite(conn)
	}()
	out := make(chan error, 1)
	go func() { out <- copyAll(os.Stdout, conn) }()
	select {
	case err := <-out:
		return err
	case <-in:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-out:
	case <-time.After(proxyGrace):
	case <-ctx.Done():
	}
	return nil
}

// copyAll copies with a large buffer; without the wrapping, io.Copy would use
// a small one of the ends' own.
func copyAll(to io.Writer, from io.Reader) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, copySize))
	return err
}

func closeWrite(conn net.Conn) {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	}
}

// countingConn counts what goes through it.
type countingConn struct {
	net.Conn
	in, out atomic.Int64
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.in.Add(int64(n))
	return n, err
}

func (c *countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.out.Add(int64(n))
	return n, err
}

// CloseWrite ends the outgoing direction.
func (c *countingConn) CloseWrite() error {
	closeWrite(c.Conn)
	return nil
}
