package sshclient

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"golang.org/x/crypto/ssh"
)

// channel is one channel of the connection and what flows through it. After its
// close nothing may be sent that names it, so whoever sends that has stopped all
// else before.
type channel struct {
	w      *writer
	id     uint32  // ours
	window int     // how much the server may send ahead of our readers
	in     *buffer // what came; of a session, its stdout
	gone   chan struct{}

	mu        sync.Mutex // guards below
	cond      sync.Cond  // signaled when credit, noInput or dead changes
	remote    uint32     // the server's number of the channel
	maxSend   int
	credit    int64 // bytes that we may send
	room      int   // bytes that the server may still send
	owed      int   // bytes read but not yet given back to the server's window
	noInput   bool  // the server reads no more, or we sent EOF
	sentClose bool
	dead      error // why nothing can be sent any more; nil while it can
}

func newChannel(w *writer, id uint32, window int) *channel {
	c := &channel{w: w, id: id, window: window, room: window, in: newBuffer(), gone: make(chan struct{})}
	c.cond.L = &c.mu
	return c
}

// confirm notes what the server says of its end.
func (c *channel) confirm(remote, window, maxPacket uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remote, c.credit, c.maxSend = remote, int64(window), int(min(maxPacket, maxData))
}

// number is the server's for the channel.
func (c *channel) number() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.remote
}

// why is the reason that nothing can be sent any more; nil while it can.
func (c *channel) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}

// Write sends data. It blocks while the other end does not read, and fails with
// io.ErrClosedPipe when it never will again.
func (c *channel) Write(p []byte) (int, error) {
	total := 0
	for len(p) > 0 {
		n, err := c.reserve(len(p))
		if err != nil {
			return total, err
		}
		if err := c.sendData(p[:n]); err != nil {
			return total, fmt.Errorf("%w: %w", ErrLost, err)
		}
		total += n
		p = p[n:]
	}
	return total, nil
}

// reserve waits for credit and takes up to want of it.
func (c *channel) reserve(want int) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.credit == 0 && c.dead == nil && !c.noInput {
		c.cond.Wait()
	}
	switch {
	case c.noInput:
		return 0, io.ErrClosedPipe
	case c.dead != nil:
		return 0, c.dead
	}
	n := min(want, c.maxSend, int(c.credit))
	c.credit -= int64(n)
	return n, nil
}

func (c *channel) sendData(p []byte) error {
	head := notice(msgChannelData, c.number())
	w := c.w
	w.mu.Lock()
	defer w.mu.Unlock()
	var size [4]byte
	putUint32(size[:], len(p))
	w.queueLocked(head, size[:], p)
	return w.flushLocked()
}

func putUint32(b []byte, n int) {
	b[0], b[1], b[2], b[3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
}

// CloseWrite tells the other end that no more data follows. What it sends goes on.
func (c *channel) CloseWrite() error {
	c.mu.Lock()
	again := c.noInput || c.sentClose
	c.noInput = true
	c.mu.Unlock()
	if again {
		return nil
	}
	return c.w.send(notice(msgChannelEOF, c.number()))
}

func (c *channel) sendClose() error {
	if !c.markClosed() {
		return nil
	}
	return c.w.send(notice(msgChannelClose, c.number()))
}

// markClosed reports whether the close is still to be sent, which is the caller's
// to do then.
func (c *channel) markClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	again := c.sentClose
	c.sentClose = true
	return !again
}

// consumed gives room back to the server's window, in large steps.
func (c *channel) consumed(n int) {
	c.mu.Lock()
	c.owed += n
	give := c.owed
	if give < c.window/8 || c.dead != nil {
		c.mu.Unlock()
		return
	}
	c.owed = 0
	c.room += give
	c.mu.Unlock()
	// A failed write ends the loop too, which tells the reader.
	_ = c.w.send(ssh.Marshal(windowAdjust{c.number(), uint32(give)}))
}

// stopInput notes that the other end reads no more.
func (c *channel) stopInput() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noInput = true
	c.cond.Broadcast()
}

// hungUp notes that the server closed the channel. It is called once.
func (c *channel) hungUp() {
	c.stopInput()
	c.in.end(io.EOF)
	close(c.gone)
}

// lost notes that nothing goes through the connection any more: err fails what is
// sent, and readers get end after what has come.
func (c *channel) lost(err, end error) {
	c.mu.Lock()
	c.dead = err
	c.cond.Broadcast()
	c.mu.Unlock()
	c.in.end(end)
}

func (c *channel) adjusted(body []byte) error {
	if len(body) != 4 {
		return fmt.Errorf("%w: a bad window", errPacket)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.credit += int64(binary.BigEndian.Uint32(body))
	if c.credit > 1<<32 {
		return fmt.Errorf("%w: a window of more than 4 GiB", errPacket)
	}
	c.cond.Broadcast()
	return nil
}

// data puts the body of a data message into b.
func (c *channel) data(b *buffer, body []byte) error {
	if len(body) < 4 || int(binary.BigEndian.Uint32(body)) != len(body)-4 {
		return fmt.Errorf("%w: data of another length than it says", errPacket)
	}
	body = body[4:]
	if !c.charge(len(body)) {
		return fmt.Errorf("%w: more data than the window allows", errPacket)
	}
	if len(body) > 0 {
		b.add(body)
	}
	return nil
}

// charge takes n bytes off the server's window.
func (c *channel) charge(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.room -= n
	return c.room >= 0
}
