package derp

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"tailscale.com/derp"
	"tailscale.com/types/key"
)

const (
	// writeTimeout is how long a client may take no bytes at all before it is
	// cut off: longer than a handover between cells, shorter than TCP's own.
	writeTimeout = 10 * time.Second
	// batchBytes is how much is written at once: two TLS records.
	batchBytes = 32 << 10
	// maxFrame bounds a frame that the server writes to a client.
	maxFrame = derp.FrameHeaderLen + derp.KeyLen + derp.MaxPacketSize
)

var errOverflow = errors.New("too many control frames waiting")

var batches = sync.Pool{New: func() any { b := make([]byte, 0, batchBytes+maxFrame); return &b }}

// conn is a client's connection as derpserver sees it. Write never blocks: it
// cuts what derpserver writes into frames and queues them. pump writes them to
// the network.
type conn struct {
	net.Conn // reads go straight to it
	stats    *counters

	partial []byte // a frame that has begun; used by Write only
	// ready is called by Write when derpserver has told the client that it is
	// served: from then on it can be sent packets. nil is fine.
	ready func()

	wake   chan struct{}
	closed chan struct{}

	mu    sync.Mutex // guards below
	queue queue
	known map[key.NodePublic]bool // sources of packets so far
	err   error                   // why the connection ended
}

func newConn(nc net.Conn, stats *counters) *conn {
	return &conn{Conn: nc, stats: stats, wake: make(chan struct{}, 1), closed: make(chan struct{})}
}

// SetDeadline sets the read deadline; pump has its own for writing.
func (c *conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline does nothing, as Write does not block.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

func (c *conn) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		var frame []byte
		var err error
		if frame, p, err = c.cut(p); err != nil {
			c.fail(err)
			return 0, err
		}
		if frame == nil {
			break
		}
		if err := c.put(frame); err != nil {
			return 0, err
		}
		if derp.FrameType(frame[0]) == derp.FrameServerInfo && c.ready != nil {
			c.ready()
		}
	}
	return total, nil
}

// cut takes bytes off p and returns a frame when it is whole.
func (c *conn) cut(p []byte) (frame, rest []byte, err error) {
	if n := derp.FrameHeaderLen - len(c.partial); n > 0 {
		n = min(n, len(p))
		c.partial = append(c.partial, p[:n]...)
		if p = p[n:]; len(c.partial) < derp.FrameHeaderLen {
			return nil, nil, nil
		}
		size := frameLen(c.partial)
		if size > maxFrame {
			return nil, nil, fmt.Errorf("frame of %d bytes", size)
		}
		c.partial = append(make([]byte, 0, size), c.partial...)
	}
	n := min(frameLen(c.partial)-len(c.partial), len(p))
	c.partial = append(c.partial, p[:n]...)
	if len(c.partial) < frameLen(c.partial) {
		return nil, nil, nil
	}
	frame, c.partial = c.partial, nil
	return frame, p[n:], nil
}

// knows reports whether there was a packet from src before.
func (c *conn) knows(src key.NodePublic) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known[src] {
		if c.known == nil {
			c.known = map[key.NodePublic]bool{}
		}
		c.known[src] = true
		return false
	}
	return true
}

func (c *conn) put(frame []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	dropped, ok := c.queue.push(frame)
	if dropped > 0 {
		c.stats.dropped.Add(uint64(dropped))
	}
	if !ok {
		return errOverflow
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}

// pump writes what is queued until the connection ends.
func (c *conn) pump() {
	for {
		select {
		case <-c.closed:
			return
		case <-c.wake:
			if err := c.drain(); err != nil {
				c.fail(err)
				return
			}
		}
	}
}

// drain writes until the queue is empty.
func (c *conn) drain() error {
	buf := batches.Get().(*[]byte)
	defer func() {
		*buf = (*buf)[:0]
		batches.Put(buf)
	}()
	for {
		var packets uint64
		if *buf, packets = c.batch((*buf)[:0]); len(*buf) == 0 {
			return nil
		}
		if err := c.Conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return err
		}
		c.stats.packetsOut.Add(packets)
		c.stats.bytesOut.Add(uint64(len(*buf)))
		if _, err := c.Conn.Write(*buf); err != nil {
			c.stats.droppedWrite.Add(packets)
			return err
		}
	}
}

// batch appends frames from the queue until there are enough for one write.
func (c *conn) batch(buf []byte) (_ []byte, packets uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(buf) < batchBytes {
		frame := c.queue.pop()
		if frame == nil {
			break
		}
		if _, ok := source(frame); ok {
			packets++
		}
		buf = append(buf, frame...)
	}
	return buf, packets
}

// fail ends the connection for a reason.
func (c *conn) fail(err error) {
	c.mu.Lock()
	first := c.err == nil
	if first {
		c.err = err
		close(c.closed)
	}
	c.mu.Unlock()
	if first {
		_ = c.Conn.Close() // reading ends too
	}
}

// Close ends the connection; what is queued is not written.
func (c *conn) Close() error {
	c.fail(net.ErrClosed)
	return nil
}
