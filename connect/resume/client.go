package resume

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"
)

// Keep is how long a stream lives without a connection, on both sides: a
// laptop that is closed on Friday is opened on Monday.
const Keep = 72 * time.Hour

const (
	// answerTimeout bounds the wait for the other side's answer on a
	// connection that was made.
	answerTimeout = 10 * time.Second

	// Waits between two connections: the longest after some that the server did
	// not answer.
	firstRetry = 20 * time.Millisecond
	lastRetry  = time.Second

	// lingerTime is how long a client that closes waits for the network to
	// take what it wrote.
	lingerTime = time.Second
)

// Config configures a client's stream. Open is required.
type Config struct {
	// Open makes a connection to the server of streams. It is called for the
	// first and after each break, and may block until ctx ends, which is when
	// the stream is closed or too old. An error is tried again, unless it is an
	// ErrOver.
	Open func(ctx context.Context) (net.Conn, error)

	// Service tells the server what the stream is for.
	Service byte

	// Keep bounds the time without a connection; 0 means the constant Keep.
	Keep time.Duration

	// Log gets breaks and returns; nil discards.
	Log *slog.Logger
}

// Dial makes a stream. It blocks until the first connection is made, and not
// for an answer: what is written goes along with the greeting. ctx bounds that
// time only. The caller closes the stream.
func Dial(ctx context.Context, cfg Config) (*Stream, error) {
	if cfg.Keep == 0 {
		cfg.Keep = Keep
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	raw, err := cfg.Open(ctx)
	if err != nil {
		return nil, err
	}
	var id ID
	_, _ = rand.Read(id[:]) // never fails
	c := &client{cfg: cfg, Stream: newStream(id, raw.LocalAddr(), raw.RemoteAddr())}
	_ = c.attach(raw, 0) // cannot fail for a new one
	life, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	c.closing = func() {
		c.hang()
		stop()
		<-done
	}
	go func() {
		defer close(done)
		c.run(life, raw)
	}()
	return c.Stream, nil
}

// client keeps a stream connected.
type client struct {
	*Stream
	cfg     Config
	known   bool // the server has answered once; guarded by mu
	carried bool // and on the last connection, which then carried the stream
}

// run carries the stream over raw and the connections that follow it, until it
// is over or ctx ends.
func (c *client) run(ctx context.Context, raw net.Conn) {
	defer c.finish(nil)
	err := c.first(raw)
	lost, wait := time.Now(), firstRetry
	for !c.isOver() {
		c.cfg.Log.Debug("connection of the session broke", "err", err)
		if raw, err = c.reopen(ctx, lost); err == nil {
			err = c.again(ctx, raw)
		}
		if errors.Is(err, ErrOver) {
			c.finish(err)
		}
		if c.carried {
			lost, wait, c.carried = time.Now(), firstRetry, false
		}
		select {
		case <-time.After(wait):
		case <-c.ended:
		case <-ctx.Done():
			return
		}
		wait = min(2*wait, lastRetry)
	}
}

func (c *client) isOver() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// reopen makes the next connection, within the time the stream is kept.
func (c *client) reopen(ctx context.Context, lost time.Time) (net.Conn, error) {
	ctx, cancel := context.WithDeadlineCause(ctx, lost.Add(c.cfg.Keep), ErrExpired)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.finish(context.Cause(ctx)) })
	defer stop()
	raw, err := c.cfg.Open(ctx)
	if err == nil && !stop() {
		return nil, errors.Join(context.Cause(ctx), raw.Close())
	}
	return raw, err
}

// first begins the stream, to which raw is attached: frames follow the greeting
// without an answer.
func (c *client) first(raw net.Conn) error {
	if err := c.greet(raw); err != nil {
		_ = raw.Close() // carry finds it so
	}
	return c.carry(raw, bufio.NewReaderSize(raw, readSize), func(in io.Reader) error {
		_, err := c.answer(raw, in)
		return err
	})
}

// again goes on over raw where the other side has stopped to receive.
func (c *client) again(ctx context.Context, raw net.Conn) error {
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	if err := c.greet(raw); err != nil {
		return errors.Join(err, raw.Close())
	}
	in := bufio.NewReaderSize(raw, readSize)
	a, err := c.answer(raw, in)
	if err != nil {
		return errors.Join(err, raw.Close())
	}
	if err := c.attach(raw, a.received); err != nil {
		return errors.Join(err, raw.Close())
	}
	c.cfg.Log.Debug("session goes on")
	return c.carry(raw, in, nil)
}

func (c *client) greet(raw net.Conn) error {
	c.mu.Lock()
	g := greeting{fresh: !c.known, service: c.cfg.Service, id: c.id, received: c.receivedLocked()}
	c.mu.Unlock()
	_ = raw.SetDeadline(time.Now().Add(answerTimeout))
	_, err := raw.Write(g.append(nil))
	return err
}

// answer reads the server's answer; one that is final ends the stream.
func (c *client) answer(raw net.Conn, in io.Reader) (answer, error) {
	a, err := readAnswer(in)
	c.carried = err == nil && a.status == statusAttached
	if err != nil {
		return a, fmt.Errorf("wait for the answer: %w", err)
	}
	_ = raw.SetDeadline(time.Time{})
	switch a.status {
	case statusAttached:
		c.mu.Lock()
		c.known = true
		c.mu.Unlock()
		return a, nil
	case statusUnknown:
		err = ErrGone
	case statusFull:
		err = ErrFull
	default:
		err = errProtocol
	}
	c.finish(err)
	return a, err
}

// hang ends the stream after the connection was given what was written, and
// the end. That the server has it is awaited if its answer or an ack may be
// under way: a connection that is closed with something unread drops what is
// still on its way. Otherwise it would cost every session a round trip.
func (c *client) hang() {
	limit := time.AfterFunc(lingerTime, func() { c.finish(nil) })
	defer limit.Stop()
	c.mu.Lock()
	c.hangUp = true
	c.work.Broadcast()
	attached := c.raw != nil
	quiet := c.known && c.out.len() < ackIdle
	c.mu.Unlock()
	if attached {
		select {
		case <-c.endGone:
			if !quiet {
				<-c.ended
			}
		case <-c.ended:
		}
	}
	c.finish(nil)
}
