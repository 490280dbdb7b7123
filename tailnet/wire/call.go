package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"storj.io/drpc"
	"storj.io/drpc/drpcwire"
)

const (
	// writeTimeout is how long an answer may wait for a caller that does not
	// read.
	writeTimeout = 30 * time.Second
	// messageCost is what a message takes in memory besides its bytes.
	messageCost = 64
)

var (
	errSlow       = errors.New("the caller does not read")
	errSendClosed = errors.New("the answer has ended")
	errFull       = errors.New("too much is unread")
)

// Call is one call as its handler sees it.
//
//	         invoke           HandleRPC returns
//	begun ----------> running ------------------> done
//	                     |                          ^
//	                     '-------> lingering -------'
//	                       Linger      next returns false
//
// Besides, it is terminated when no more can pass: both sides have said all, one
// has closed it or the session is gone. Its context ends with that.
type Call struct {
	s       *Server
	handler drpc.Handler
	id      uint32
	ctx     context.Context // the call's own: drpc.Stream hands it out
	cancel  context.CancelFunc

	in packets // the reader's

	sending sync.Mutex  // one packet at a time; taken before mu
	sent    drpcwire.ID // guarded by sending

	mu      sync.Mutex // guards below
	changed sync.Cond  // of what the handler waits for: messages, window, ends
	inbox
	lingering
	ends
	begun              bool   // the handler was called
	window, sendWindow uint32 // bytes that the caller, and we, may still send
}

// inbox is what the handler has not received.
type inbox struct {
	queue   [][]byte // messages
	held    int      // bytes of the queue
	begunIn int      // bytes of what has not come whole
	counted int      // of both, in Server.buffered
}

// ends are the ends of a call.
type ends struct {
	recvErr, sendErr error // why nothing more comes, or may be sent; nil before
	terminated       bool  // nothing can pass any more
	done             bool  // the handler has ended
	finReceived      bool
	gone             bool // the session has forgotten the call
}

type callKey struct{}

// CallOf returns the call that a context belongs to, or nil.
func CallOf(ctx context.Context) *Call {
	c, _ := ctx.Value(callKey{}).(*Call)
	return c
}

// callContext is a context that knows its call.
type callContext struct {
	context.Context
	call *Call
}

func (c callContext) Value(key any) any {
	if key == (callKey{}) {
		return c.call
	}
	return c.Context.Value(key)
}

func newCall(ctx context.Context, s *Server, handler drpc.Handler, id uint32) *Call {
	c := &Call{s: s, handler: handler, id: id, window: firstWindow, sendWindow: firstWindow}
	c.changed.L = &c.mu
	ctx, c.cancel = context.WithCancel(ctx)
	c.ctx = callContext{ctx, c}
	return c
}

var _ drpc.Stream = (*Call)(nil)

// Context ends when nothing can be sent or received any more.
func (c *Call) Context() context.Context { return c.ctx }

// read takes n bytes of the call from the session. Only what breaks the session
// is an error.
func (c *Call) read(from io.Reader, n uint32) error {
	c.mu.Lock()
	window := c.window
	c.mu.Unlock()
	if n > window {
		return fmt.Errorf("%w: %d bytes for a window of %d", errProtocol, n, window)
	}
	if _, err := io.ReadFull(from, c.in.room(int(n))); err != nil {
		return err
	}
	err := c.in.take(c.packet)
	c.mu.Lock()
	c.window -= n
	c.begunIn = c.in.size()
	c.countLocked()
	c.mu.Unlock()
	if err == nil && c.s.buffered.Load() > maxBuffered {
		err = errFull
	}
	if err != nil {
		c.in = packets{}
		return c.reset(err)
	}
	return c.grant()
}

// packet takes one packet of the caller.
func (c *Call) packet(p drpcwire.Packet) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch p.Kind {
	case drpcwire.KindInvoke:
		return c.beginLocked(p)
	case drpcwire.KindInvokeMetadata:
		return nil // nobody asks for any
	case drpcwire.KindMessage:
		if !c.begun {
			return drpc.ProtocolError.New("message before its call")
		}
		if c.recvErr == nil {
			c.queue, c.held = append(c.queue, p.Data), c.held+len(p.Data)+messageCost
			c.workLocked()
		}
	case drpcwire.KindCloseSend:
		c.endRecvLocked(io.EOF)
		c.wakeLocked()
		if c.sendErr != nil {
			c.terminateLocked(io.EOF)
		}
	case drpcwire.KindClose:
		c.terminateLocked(io.EOF)
	case drpcwire.KindCancel:
		c.terminateLocked(context.Canceled)
	case drpcwire.KindError:
		c.terminateLocked(drpcwire.UnmarshalError(p.Data))
	default:
		if !p.Control {
			return drpc.ProtocolError.New("packet of unknown kind %d", p.Kind)
		}
	}
	return nil
}

// beginLocked starts the handler.
func (c *Call) beginLocked(p drpcwire.Packet) error {
	if c.begun {
		return drpc.ProtocolError.New("second call on a stream")
	}
	c.begun = true
	c.sent.Stream = p.ID.Stream
	rpc := string(p.Data)
	c.s.running.Add(1)
	go c.run(rpc)
	return nil
}

// run lets the handler answer.
func (c *Call) run(rpc string) {
	err := c.handler.HandleRPC(c, rpc)
	c.mu.Lock()
	c.returned = true
	if c.lingers = c.lingers && err == nil; c.lingers {
		c.workLocked() // for what has come meanwhile
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	c.finish(err)
}

// finish ends the call as its handler did.
func (c *Call) finish(err error) {
	defer c.s.running.Done()
	if err != nil {
		_ = c.send(drpcwire.KindError, drpcwire.MarshalError(err), err)
	} else {
		_ = c.send(drpcwire.KindCloseSend, nil, errSendClosed)
	}
	c.mu.Lock()
	c.done = true
	c.terminateLocked(errSendClosed)
	c.queue, c.held = nil, 0
	c.countLocked()
	fin := c.finReceived
	c.mu.Unlock()
	_ = c.grant() // fails with the session only
	if fin {
		_ = c.fin()
	}
}

// closedByCaller takes a FIN: the caller is not interested any more.
func (c *Call) closedByCaller() error {
	c.mu.Lock()
	twice, done := c.finReceived, c.done || !c.begun
	c.finReceived = true
	c.terminateLocked(io.EOF)
	c.mu.Unlock()
	switch {
	case twice:
		return fmt.Errorf("%w: stream %d ends twice", errProtocol, c.id)
	case done:
		return c.fin()
	}
	return nil
}

// fin answers the caller's FIN.
func (c *Call) fin() error {
	if c.forget() {
		return c.s.write(header{kind: typeWindow, flags: flagFIN, id: c.id})
	}
	return nil
}

// reset ends a call, not the session, for something that it did.
func (c *Call) reset(cause error) error {
	c.terminate(cause)
	if c.forget() {
		return c.s.write(header{kind: typeWindow, flags: flagRST, id: c.id})
	}
	return nil
}

// forget takes the call out of its session and reports whether it was in it.
func (c *Call) forget() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := !c.gone
	c.gone = true
	c.countLocked()
	if first {
		c.s.forget(c.id)
	}
	return first
}

// countLocked tells the session what the call holds.
func (c *Call) countLocked() {
	holds := c.held + c.begunIn
	if c.gone {
		holds = 0
	}
	c.s.buffered.Add(int64(holds - c.counted))
	c.counted = holds
}

func (c *Call) terminate(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.terminateLocked(cause)
}

func (c *Call) terminateLocked(cause error) {
	if c.terminated {
		return
	}
	c.terminated = true
	c.endRecvLocked(cause)
	if c.sendErr == nil {
		c.sendErr = cause
	}
	c.cancel()
	c.wakeLocked()
}

func (c *Call) endRecvLocked(cause error) {
	if c.recvErr == nil {
		c.recvErr = cause
	}
}
