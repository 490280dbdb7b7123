package sshclient

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/ssh"
)

// errClosed is what ends the loop in order: both sides closed the channel.
var errClosed = errors.New("the session has ended")

const (
	// maxReplies bounds the answers that wait to be sent. The loop does not send
	// them itself: a server that waits for us to read, before it reads what others
	// of us send, would wait forever. More than that is no server of ours.
	maxReplies = 1024

	// linger is how long a forwarded connection may be silent after the command has
	// ended before it ends too, and lingerAll how long all of them may go on: what a
	// command wrote last is still on its way then.
	linger    = 200 * time.Millisecond
	lingerAll = 5 * time.Second
)

// run handles what the server sends, until the channel or the connection ends.
func (s *Session) run() {
	defer close(s.replies)
	life, cancel := context.WithCancel(context.Background())
	defer cancel()
	err := s.receive(life)
	s.mu.Lock()
	// The server may hang up once it has said how the command ended.
	inOrder := err == errClosed || s.exit.Known
	s.mu.Unlock()
	end := io.EOF
	if inOrder {
		s.main.stopInput()
	} else {
		err = fmt.Errorf("%w: %w", ErrLost, err)
		end = err
	}
	s.main.lost(err, end)
	s.err.end(end)
	s.lostCarried(err, end)
	close(s.ended)
}

// receive returns why nothing is handled any more.
func (s *Session) receive(life context.Context) error {
	for {
		p, err := s.t.in.packet()
		if err != nil {
			return err
		}
		if err := s.handle(life, p); err == errClosed {
			return s.receiveRest(life)
		} else if err != nil {
			return err
		}
	}
}

// receiveRest handles what still comes through forwarded connections.
func (s *Session) receiveRest(life context.Context) error {
	for last := time.Now().Add(lingerAll); s.carrying() && time.Now().Before(last); {
		s.conn.SetReadDeadline(time.Now().Add(linger))
		p, err := s.t.in.packet()
		if err != nil || s.handle(life, p) != nil {
			break
		}
	}
	return errClosed
}

// reply sends the answers of the loop until that ends.
func (s *Session) reply() {
	for p := range s.replies {
		_ = s.t.out.send(p) // a failed write ends the loop too
	}
}

// later has an answer sent.
func (s *Session) later(p []byte) error {
	select {
	case s.replies <- p:
		return nil
	default:
		return fmt.Errorf("%w: it does not read our answers", errPacket)
	}
}

func (s *Session) handle(life context.Context, p []byte) error {
	switch p[0] {
	case msgIgnore, msgDebug, msgUnimplemented, msgExtInfo, msgServiceAccept,
		msgUserAuthBanner, msgUserAuthSuccess:
		return nil
	case msgRequestSuccess, msgRequestFailure:
		return s.answered(p)
	case msgDisconnect:
		return disconnected(p)
	case msgKexInit:
		return s.t.rekey(p)
	case msgUserAuthFailure:
		return errors.New("the SSH server wants authentication, which agents do not")
	case msgGlobalRequest:
		return s.refuseGlobal(p)
	case msgChannelOpen:
		return s.openCarried(life, p)
	}
	return s.handleChannel(p)
}

func disconnected(p []byte) error {
	var m disconnect
	if err := ssh.Unmarshal(p, &m); err != nil {
		return fmt.Errorf("%w: %w", errPacket, err)
	}
	return fmt.Errorf("the SSH server hung up: %.200q", m.Message)
}

// refuseGlobal answers requests such as keepalives: that there is an answer is
// what counts.
func (s *Session) refuseGlobal(p []byte) error {
	var m globalRequest
	if err := ssh.Unmarshal(p, &m); err != nil {
		return fmt.Errorf("%w: %w", errPacket, err)
	}
	if !m.WantReply {
		return nil
	}
	return s.later([]byte{msgRequestFailure})
}

// handleChannel handles the messages of channels.
func (s *Session) handleChannel(p []byte) error {
	if p[0] < msgChannelOpenConfirm || p[0] > msgChannelFailure {
		return s.unimplemented()
	}
	if len(p) < 5 {
		return fmt.Errorf("%w: a message %d of %d bytes", errPacket, p[0], len(p))
	}
	id := binary.BigEndian.Uint32(p[1:])
	if id == ourChannel {
		return s.handleMain(p)
	}
	return s.handleCarried(id, p)
}

// handleMain handles the messages of the session's channel.
func (s *Session) handleMain(p []byte) error {
	body := p[5:]
	switch p[0] {
	case msgChannelOpenConfirm:
		return s.confirmed(p)
	case msgChannelOpenFailure:
		return openFailed(p)
	case msgChannelWindowAdjust:
		return s.main.adjusted(body)
	case msgChannelData:
		return s.main.data(s.main.in, body)
	case msgChannelExtended:
		return s.extended(body)
	case msgChannelRequest:
		return s.requested(p)
	case msgChannelSuccess:
		s.replied(true)
	case msgChannelFailure:
		s.replied(false)
	case msgChannelEOF:
		s.main.in.end(io.EOF)
		s.err.end(io.EOF)
	case msgChannelClose:
		if s.main.markClosed() {
			_ = s.later(notice(msgChannelClose, s.main.number())) // the server may be gone already
		}
		return errClosed
	}
	return nil
}

// unimplemented is the answer to a message that nobody defined when this was
// written. The number of the packet is not counted here.
func (s *Session) unimplemented() error {
	return s.later([]byte{msgUnimplemented, 0, 0, 0, 0})
}

func (s *Session) confirmed(p []byte) error {
	var m channelOpenConfirm
	if err := ssh.Unmarshal(p, &m); err != nil {
		return fmt.Errorf("%w: %w", errPacket, err)
	}
	if m.MaxPacket == 0 || s.isOpen() {
		return fmt.Errorf("%w: a bad confirmation", errPacket)
	}
	s.main.confirm(m.Sender, m.Window, m.MaxPacket)
	close(s.opened)
	return nil
}

func (s *Session) isOpen() bool {
	select {
	case <-s.opened:
		return true
	default:
		return false
	}
}

func openFailed(p []byte) error {
	var m channelOpenFailure
	if err := ssh.Unmarshal(p, &m); err != nil {
		return fmt.Errorf("%w: %w", errPacket, err)
	}
	return fmt.Errorf("the SSH server refused a session: %.200q", m.Message)
}

func (s *Session) extended(body []byte) error {
	const stderr = 1
	if len(body) < 4 || binary.BigEndian.Uint32(body) != stderr {
		return fmt.Errorf("%w: output that is neither stdout nor stderr", errPacket)
	}
	return s.main.data(s.err, body[4:])
}

// requested handles what the server asks of the channel.
func (s *Session) requested(p []byte) error {
	var m channelRequest
	if err := ssh.Unmarshal(p, &m); err != nil {
		return fmt.Errorf("%w: %w", errPacket, err)
	}
	switch m.Type {
	case "exit-status":
		var e exitStatus
		if err := ssh.Unmarshal(m.Payload, &e); err != nil {
			return fmt.Errorf("%w: %w", errPacket, err)
		}
		s.exited(Exit{Status: int(int32(e.Status)), Known: true})
	case "exit-signal":
		var e exitSignal
		if err := ssh.Unmarshal(m.Payload, &e); err != nil {
			return fmt.Errorf("%w: %w", errPacket, err)
		}
		s.exited(Exit{Status: -1, Signal: e.Signal, Known: true})
	case "eow@openssh.com":
		s.main.stopInput()
	default:
		if m.WantReply {
			return s.later(notice(msgChannelFailure, s.main.number()))
		}
	}
	return nil
}

func (s *Session) exited(e Exit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exit = e
}

// replied notes an answer to what was asked of the channel; the last question is
// shell or exec. An early exec is answered before its repetition. An answer before
// the confirmation says only that the early one was too early.
func (s *Session) replied(ok bool) {
	select {
	case <-s.started:
		return
	default:
	}
	if !s.isOpen() {
		return
	}
	asked := s.request.questions()
	if !ok {
		s.refuse(fmt.Errorf("the SSH server refused to %s", asked[s.told]))
	}
	if s.told++; !ok || s.told == len(asked) {
		close(s.started)
	}
}

// refuse notes why the command does not run; the first reason counts.
func (s *Session) refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused == nil {
		s.refused = err
	}
}
