//go:build linux

package sshd

import (
	"bufio"
	"net"
)

// bufferedConn reads ahead from a connection. x/crypto reads the client's
// version byte by byte and packets in pieces of 4 KiB and the rest; this
// makes one read of the network of it.
type bufferedConn struct {
	net.Conn
	r *bufio.Reader
}

// readAhead holds one full SSH packet and what follows it.
const readAhead = 64 << 10

func newBufferedConn(conn net.Conn) *bufferedConn {
	return &bufferedConn{Conn: conn, r: bufio.NewReaderSize(conn, readAhead)}
}

func (c *bufferedConn) Read(p []byte) (int, error) { return c.r.Read(p) }
