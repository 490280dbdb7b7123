package sshclient

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"
)

// errClosed is what ends the loop in order: both sides closed the channel.
var errClosed = errors.New("the session has ended")

// run handles what the server sends, until the channel or the connection ends.
func (s *Session) run() {
	err := s.receive()
	s.mu.Lock()
	// The server may hang up once it has said how the command ended.
	inOrder := err == errClosed || s.exit.Known
	if !inOrder {
		err = fmt.Errorf("%w: %w", ErrLost, err)
	}
	s.dead, s.noInput = err, inOrder
	s.mu.Unlock()
	s.cond.Broadcast()
	end := err
	if inOrder {
		end = io.EOF
	}
	s.out.end(end)
	s.err.end(end)
	close(s.ended)
}

func (s *Session) receive() error {
	for {
		p, err := s.t.in.packet()
		if err != nil {
			return err
		}
		if err := s.handle(p); err != nil {
			return err
		}
	}
}

func (s *Session) handle(p []byte) error {
	switch p[0] {
	case msgIgnore, msgDebug, msgUnimplemented, msgExtInfo, msgServiceAccept,
		msgUserAuthBanner, msgUserAuthSuccess, msgRequestSuccess, msgRequestFailure:
		return nil
	case msgDisconnect:
		return disconnected(p)
	case msgKexInit:
		return s.t.rekey(p)
	case msgUserAuthFailure:
		return errors.New("the SSH server wants authentication, which agents do not")
	case msgGlobalRequest:
		return s.refuseGlobal(p)
	case msgChannelOpen:
		return s.refuseChannel(p)
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
	return s.t.out.send([]byte{msgRequestFailure})
}

func (s *Session) refuseChannel(p []byte) error {
	var m channelOpen
	if err := ssh.Unmarshal(p, &m); err != nil {
		return fmt.Errorf("%w: %w", errPacket, err)
	}
	const prohibited = 1
	return s.t.out.send(ssh.Marshal(channelOpenFailure{m.Sender, prohibited, "nothing is forwarded", ""}))
}

// handleChannel handles the messages of our channel.
func (s *Session) handleChannel(p []byte) error {
	if p[0] < msgChannelOpenConfirm || p[0] > msgChannelFailure {
		return s.unimplemented()
	}
	if len(p) < 5 || binary.BigEndian.Uint32(p[1:]) != ourChannel {
		return fmt.Errorf("%w: message %d of an unknown channel", errPacket, p[0])
	}
	body := p[5:]
	switch p[0] {
	case msgChannelOpenConfirm:
		return s.confirmed(p)
	case msgChannelOpenFailure:
		return openFailed(p)
	case msgChannelWindowAdjust:
		return s.adjusted(body)
	case msgChannelData:
		return s.data(s.out, body)
	case msgChannelExtended:
		return s.extended(body)
	case msgChannelRequest:
		return s.requested(p)
	case msgChannelSuccess:
		s.replied(nil)
	case msgChannelFailure:
		s.replied(errors.New("the SSH server refused to run the command"))
	case msgChannelEOF:
		s.out.end(io.EOF)
		s.err.end(io.EOF)
	case msgChannelClose:
		_ = s.sendClose() // the server may be gone already
		return errClosed
	}
	return nil
}

// unimplemented is the answer to a message that nobody defined when this was
// written. The number of the packet is not counted here.
func (s *Session) unimplemented() error {
	return s.t.out.send([]byte{msgUnimplemented, 0, 0, 0, 0})
}

func (s *Session) confirmed(p []byte) error {
	var m channelOpenConfirm
	if err := ssh.Unmarshal(p, &m); err != nil {
		return fmt.Errorf("%w: %w", errPacket, err)
	}
	if m.MaxPacket == 0 || s.isOpen() {
		return fmt.Errorf("%w: a bad confirmation", errPacket)
	}
	s.mu.Lock()
	s.remote, s.credit, s.maxSend = m.Sender, int64(m.Window), int(min(m.MaxPacket, maxData))
	s.mu.Unlock()
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

func (s *Session) adjusted(body []byte) error {
	if len(body) != 4 {
		return fmt.Errorf("%w: a bad window", errPacket)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.credit += int64(binary.BigEndian.Uint32(body))
	if s.credit > 1<<32 {
		return fmt.Errorf("%w: a window of more than 4 GiB", errPacket)
	}
	s.cond.Broadcast()
	return nil
}

func (s *Session) extended(body []byte) error {
	const stderr = 1
	if len(body) < 4 || binary.BigEndian.Uint32(body) != stderr {
		return fmt.Errorf("%w: output that is neither stdout nor stderr", errPacket)
	}
	return s.data(s.err, body[4:])
}

func (s *Session) data(b *buffer, body []byte) error {
	if len(body) < 4 || int(binary.BigEndian.Uint32(body)) != len(body)-4 {
		return fmt.Errorf("%w: data of another length than it says", errPacket)
	}
	body = body[4:]
	if !s.charge(len(body)) {
		return fmt.Errorf("%w: more data than the window allows", errPacket)
	}
	if len(body) > 0 {
		b.add(body)
	}
	return nil
}

// charge takes n bytes off the server's window.
func (s *Session) charge(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room -= n
	return s.room >= 0
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
		s.mu.Lock()
		s.noInput = true
		s.mu.Unlock()
		s.cond.Broadcast()
	default:
		if m.WantReply {
			return s.t.out.send(notice(msgChannelFailure, s.channel()))
		}
	}
	return nil
}

func (s *Session) exited(e Exit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exit = e
}

// replied notes the first answer to shell or exec: an early exec is answered
// before its repetition. An answer before the confirmation says only that the
// early one was too early.
func (s *Session) replied(err error) {
	select {
	case <-s.started:
		return
	default:
	}
	if !s.isOpen() {
		return
	}
	s.mu.Lock()
	s.refused = err
	s.mu.Unlock()
	close(s.started)
}
