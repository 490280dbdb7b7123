//go:build linux

package sshd

import (
	"bufio"
	"net"
	"sync/atomic"
	"time"
)

// bufferedConn reads ahead from a connection. x/crypto reads the client's
// version byte by byte and packets in pieces of 4 KiB and the rest; this
// makes one read of the network of it. It remembers when something came.
type bufferedConn struct {
	net.Conn
	r     *bufio.Reader
	heard atomic.Int64 // nanoseconds since began
	began time.Time
}

// readAhead holds one full SSH packet and what follows it.
const readAhead = 64 << 10

func newBufferedConn(conn net.Conn) *bufferedConn {
	c := &bufferedConn{Conn: conn, began: time.Now()}
	c.r = bufio.NewReaderSize(heardReader{c}, readAhead)
	return c
}

func (c *bufferedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// silent returns how long ago the last bytes came.
func (c *bufferedConn) silent() time.Duration {
	return time.Since(c.began) - time.Duration(c.heard.Load())
}

// heardReader is the network side of a bufferedConn.
type heardReader struct{ c *bufferedConn }

func (h heardReader) Read(p []byte) (int, error) {
	n, err := h.c.Conn.Read(p)
	if n > 0 {
		h.c.heard.Store(int64(time.Since(h.c.began)))
	}
	return n, err
}
