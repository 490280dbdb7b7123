//go:build linux

package pty

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Serve speaks the protocol of port 2 on conn, which it owns, until the viewer
// leaves, the program ends or ctx is done. What a viewer does wrong (limits,
// unknown ids) it is told in text. The error says why a connection did not last
// as long as it should have.
func (t *Terminals) Serve(ctx context.Context, conn net.Conn) error {
	defer conn.Close()
	if !t.begin() {
		return errClosing
	}
	defer t.running.Done()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()

	start, cancel := context.WithTimeout(ctx, t.cfg.AttachTimeout)
	defer cancel()
	init, err := t.readInit(conn)
	if err != nil {
		t.counters.malformed.Add(1)
		return fmt.Errorf("serve terminal: %w", err)
	}
	v := newViewer(conn, init)
	term, err := t.open(start, init, v)
	if err != nil {
		t.counters.refused.Add(1)
		_ = conn.SetWriteDeadline(time.Now().Add(refusalTimeout))
		_, _ = fmt.Fprintf(conn, "coder: %v\r\n", err)
		return fmt.Errorf("serve terminal %s: %w", init.ID, err)
	}
	return t.view(term, v)
}

// refusalTimeout is how long a viewer may take to read why it is refused.
const refusalTimeout = 10 * time.Second

// readInit reads the first message; Close interrupts it.
func (t *Terminals) readInit(conn net.Conn) (Init, error) {
	if err := conn.SetReadDeadline(time.Now().Add(t.cfg.AttachTimeout)); err != nil {
		return Init{}, err
	}
	if !t.setWaiting(conn, true) {
		return Init{}, errClosing
	}
	init, err := readInit(conn)
	t.setWaiting(conn, false)
	if err == nil {
		err = conn.SetReadDeadline(time.Time{})
	}
	return init, err
}

// setWaiting notes whether conn waits for its first message, unless all is
// closing.
func (t *Terminals) setWaiting(conn net.Conn, waiting bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if waiting && !t.closed {
		t.waiting[conn] = struct{}{}
	} else {
		delete(t.waiting, conn)
	}
	return !t.closed
}

// view passes bytes between v and term until one of them ends.
func (t *Terminals) view(term *terminal, v *viewer) error {
	var input sync.WaitGroup
	var readErr error
	typed, left := make(chan message), make(chan struct{})
	input.Go(func() {
		defer close(left)
		readErr = v.read(typed)
	})
	input.Go(func() { term.obey(v, typed, left) })
	saw := term.writeViewer(v, left)
	close(v.closed)
	_ = v.conn.Close()
	input.Wait()
	term.detach(v, saw)
	if readErr != nil {
		t.counters.malformed.Add(1)
		return fmt.Errorf("serve terminal %s: %w", term.id, readErr)
	}
	return nil
}

// writeViewer shows v the terminal until one of them ends. It reports whether
// v has seen the end.
func (t *terminal) writeViewer(v *viewer, left <-chan struct{}) bool {
	var spare []byte
	for {
		output, last := t.take(v, spare)
		if len(output) == 0 && last {
			return true
		}
		if len(output) > 0 {
			t.setPatience(v)
			if _, err := v.conn.Write(output); err != nil {
				return false
			}
			spare = nil
			if cap(output) <= 2*t.owner.cfg.Queue { // not that of a long scrollback
				spare = output
			}
			continue
		}
		select {
		case <-v.wake:
		case <-left:
			return false
		}
	}
}

// setPatience gives v as long as a terminal is kept to take what it is shown: a
// connection that is frozen so long is as good as gone.
func (t *terminal) setPatience(v *viewer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	patience := t.owner.cfg.Keep
	if t.done || t.wasKilled() {
		patience = killGrace
	}
	_ = v.conn.SetWriteDeadline(time.Now().Add(patience))
}

// hurry gives all viewers little time to take what is left.
func (t *terminal) hurry() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, v := range t.viewers {
		_ = v.conn.SetWriteDeadline(time.Now().Add(killGrace))
	}
}

// read passes on what v sends until it leaves; an error means that it sent what
// it should not.
func (v *viewer) read(to chan<- message) error {
	for in := newMessages(v.conn); ; {
		msg, err := in.next()
		if err != nil {
			return malformed(err)
		}
		select {
		case to <- msg:
		case <-v.closed:
			return nil
		}
	}
}

// focusLost is what a terminal reports when its window is no longer the one
// that is typed into: not a sign of life.
const focusLost = "\x1b[O"

// obey does what v sends. It is apart from read so that it is noticed when v
// leaves while a program does not read.
func (t *terminal) obey(v *viewer, typed <-chan message, left <-chan struct{}) {
	for {
		select {
		case msg := <-typed:
			if msg.Width != 0 && msg.Height != 0 {
				t.activate(v, int(msg.Width), int(msg.Height))
			}
			if msg.Data != "" && msg.Data != focusLost {
				t.activate(v, 0, 0)
			}
			t.typed([]byte(msg.Data), left)
		case <-left:
			return
		}
	}
}

// malformed returns err unless it only says that the connection has ended.
func malformed(err error) error {
	var network net.Error
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) || errors.As(err, &network) {
		return nil
	}
	return err
}
