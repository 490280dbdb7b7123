package sshclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	// carryWindow is how much the server may send ahead into one forwarded
	// connection, the usual size; with maxCarried it bounds what a local program
	// that does not read can cost.
	carryWindow = 2 << 20

	// maxCarried is how many forwarded connections there are at once; agents have
	// the same limit.
	maxCarried = 1024

	// dialTimeout is how long the near end of a forwarded connection may take to
	// be made.
	dialTimeout = 10 * time.Second

	// drainTime is how long a local program may take to read what had come when the
	// connection to the server ended.
	drainTime = time.Second
)

// openCarried begins to carry a connection, unless it is one that nobody asked
// for.
func (s *Session) openCarried(life context.Context, p []byte) error {
	var m channelOpen
	if err := ssh.Unmarshal(p, &m); err != nil {
		return fmt.Errorf("%w: %w", errPacket, err)
	}
	dial, err := s.dialFor(m)
	switch {
	case err != nil:
		return err
	case dial == nil:
		return s.later(refusal(m.Sender, ssh.Prohibited, "nothing is forwarded"))
	case m.MaxPacket == 0:
		return fmt.Errorf("%w: a channel for nothing", errPacket)
	}
	ch := s.newCarried()
	if ch == nil {
		return s.later(refusal(m.Sender, ssh.ResourceShortage, "too many forwarded connections"))
	}
	ch.confirm(m.Sender, m.Window, m.MaxPacket)
	s.carries.Go(func() { s.carry(life, ch, dial) })
	return nil
}

func refusal(recipient uint32, why ssh.RejectionReason, text string) []byte {
	return ssh.Marshal(channelOpenFailure{recipient, uint32(why), text, ""})
}

// newCarried makes a channel with a number of its own; nil if there are too many.
func (s *Session) newCarried() *channel {
	s.carriedMu.Lock()
	defer s.carriedMu.Unlock()
	if len(s.carried) == maxCarried {
		return nil
	}
	for s.last++; s.last == ourChannel || s.carried[s.last] != nil; s.last++ {
	}
	ch := newChannel(&s.t.out, s.last, carryWindow)
	s.carried[ch.id] = ch
	return ch
}

func (s *Session) carrying() bool {
	s.carriedMu.Lock()
	defer s.carriedMu.Unlock()
	return len(s.carried) > 0
}

// forget takes a channel out, to which nothing more may come, and reports whether
// it was still there.
func (s *Session) forget(ch *channel) bool {
	s.carriedMu.Lock()
	defer s.carriedMu.Unlock()
	known := s.carried[ch.id] == ch
	delete(s.carried, ch.id)
	return known
}

// lostCarried ends all forwarded connections, when nothing more comes.
func (s *Session) lostCarried(err, end error) {
	s.carriedMu.Lock()
	defer s.carriedMu.Unlock()
	for _, ch := range s.carried {
		ch.lost(err, end)
		close(ch.gone)
	}
	clear(s.carried)
}

// handleCarried handles the messages of forwarded connections.
func (s *Session) handleCarried(id uint32, p []byte) error {
	s.carriedMu.Lock()
	ch := s.carried[id]
	s.carriedMu.Unlock()
	if ch == nil {
		return fmt.Errorf("%w: message %d of an unknown channel", errPacket, p[0])
	}
	switch body := p[5:]; p[0] {
	case msgChannelWindowAdjust:
		return ch.adjusted(body)
	case msgChannelData:
		return ch.data(ch.in, body)
	case msgChannelEOF:
		ch.in.end(io.EOF)
	case msgChannelClose:
		if s.forget(ch) {
			ch.hungUp()
		}
	case msgChannelRequest: // nothing is asked that we know of
		var m channelRequest
		if err := ssh.Unmarshal(p, &m); err != nil {
			return fmt.Errorf("%w: %w", errPacket, err)
		}
		if m.WantReply {
			return s.later(notice(msgChannelFailure, ch.number()))
		}
	}
	return nil
}

// carry joins a channel with its near end, each direction until it ends, and
// returns when the server has closed the channel too.
func (s *Session) carry(life context.Context, ch *channel, dial Dial) {
	near, err := s.meet(life, ch, dial)
	if err != nil {
		return
	}
	// What has come may still go where it was sent when the connection is over,
	// but nobody holds up its end.
	defer context.AfterFunc(life, func() { near.SetDeadline(time.Now().Add(drainTime)) })()
	var inward, closed sync.WaitGroup
	inward.Go(func() { ch.deliver(near) })
	closed.Go(func() {
		<-ch.gone
		inward.Wait()
		near.Close()
	})
	_, _ = io.Copy(ch, near)
	_ = ch.CloseWrite()
	inward.Wait()
	_ = ch.sendClose()
	near.Close()
	closed.Wait()
}

// meet makes the near end and accepts the channel, or refuses it.
func (s *Session) meet(life context.Context, ch *channel, dial Dial) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(life, dialTimeout)
	defer cancel()
	near, err := dial(ctx)
	if err != nil {
		s.forget(ch)
		return nil, errors.Join(err, s.t.out.send(refusal(ch.number(), ssh.ConnectionFailed, "connect failed")))
	}
	err = s.t.out.send(ssh.Marshal(channelOpenConfirm{ch.number(), ch.id, carryWindow, maxData, nil}))
	if err != nil {
		near.Close()
	}
	return near, err
}

// deliver writes what comes to near, and its end. When that fails, or the
// connection to the server did, near ends as a whole.
func (c *channel) deliver(near net.Conn) {
	_, err := (&stream{buffer: c.in, channel: c}).WriteTo(near)
	half, ok := near.(interface{ CloseWrite() error })
	if err == nil && ok && half.CloseWrite() == nil {
		return
	}
	c.in.end(io.EOF) // what still comes goes nowhere
	near.Close()
}
