package sshclient

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	// maxData is the most bytes in one data message that we accept, the size
	// that every implementation must take (RFC 4253 §6.1).
	maxData = 32 << 10

	// window is how much the server may send ahead of our readers: enough for
	// 600 Mbit/s over a path of 100 ms.
	window = 8 << 20

	// optimism is how long after the channel open the exec follows: longer than
	// a server needs to accept a channel, much shorter than a round trip that
	// is worth saving.
	optimism = 3 * time.Millisecond

	// ourChannel is the number of our only channel; firstChannel is the one that
	// servers give their first.
	ourChannel   = 0
	firstChannel = 0
)

// ErrLost reports a connection that ended before the session did.
var ErrLost = errors.New("connection lost")

// Request says what to run.
type Request struct {
	// User is told to the server, which may ignore it.
	User string
	// Command is run by the user's shell; empty means a login shell.
	Command string
	// Env holds KEY=VALUE entries.
	Env []string
	// Terminal asks for a pseudo terminal; nil for none.
	Terminal *Terminal
	// HostKeyAlgo is the algorithm that the server is believed to prefer for
	// its host key; empty means ssh-ed25519. A wrong belief costs a round trip.
	HostKeyAlgo string
}

// Terminal describes the user's terminal.
type Terminal struct {
	Term          string // value of TERM
	Columns, Rows int
}

// Exit is how a command ended.
type Exit struct {
	Status int    // -1 if a signal ended it, or if the server did not say
	Signal string // like TERM; empty if none
	// Known reports whether the server told how the command ended.
	Known bool
}

// Session is one shell or command that runs. Stdout and Stderr must both be
// read, or the command stops when the window is full.
type Session struct {
	// Stdout and Stderr end with io.EOF, or with an ErrLost.
	Stdout, Stderr interface {
		io.Reader
		io.WriterTo
	}

	conn     net.Conn
	t        transport
	request  Request
	out, err *buffer
	loop     sync.WaitGroup
	once     sync.Once
	opened   chan struct{} // closed when the channel is open
	started  chan struct{} // closed when the command runs, or never will
	ended    chan struct{} // closed when the channel is

	mu        sync.Mutex // guards below
	cond      sync.Cond  // signaled when credit or dead changes
	remote    uint32     // the server's number of the channel
	maxSend   int
	credit    int64 // bytes that we may send
	room      int   // bytes that the server may still send
	owed      int   // bytes read but not yet given back to the server's window
	noInput   bool  // the server reads no more, or we sent EOF
	sentClose bool
	refused   error // why the command does not run
	exit      Exit
	dead      error // why nothing can be sent any more; nil while it can
}

// Open starts what req asks for over conn, which the session owns from now on.
// It returns when the command runs. The end of ctx ends only the wait; an error
// closes conn.
func Open(ctx context.Context, conn net.Conn, req Request) (*Session, error) {
	s := &Session{
		conn: conn, request: req, out: newBuffer(), err: newBuffer(),
		room: window, opened: make(chan struct{}), started: make(chan struct{}), ended: make(chan struct{}),
	}
	s.cond.L = &s.mu
	s.Stdout, s.Stderr = &stream{buffer: s.out, session: s}, &stream{buffer: s.err, session: s}
	s.t.in.r = bufio.NewReaderSize(conn, 2*maxData)
	s.t.out.w = conn
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	err := s.start(ctx)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		s.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("open ssh session: %w", err)
	}
	return s, nil
}

func (s *Session) start(ctx context.Context) error {
	if err := s.t.handshake(s.request.HostKeyAlgo); err != nil {
		return err
	}
	err := s.t.out.send(
		ssh.Marshal(serviceRequest{"ssh-userauth"}),
		ssh.Marshal(userAuthRequest{s.request.User, "ssh-connection", "none"}),
		ssh.Marshal(channelOpen{Type: "session", Sender: ourChannel, Window: window, MaxPacket: maxData}),
	)
	if err != nil {
		return err
	}
	s.loop.Go(s.run)
	if err := s.runEarly(); err != nil {
		return err
	}
	if err := s.wait(ctx, s.opened); err != nil {
		return err
	}
	if err := s.t.out.send(s.requests()...); err != nil {
		return err
	}
	return s.wait(ctx, s.started)
}

// runEarly sends a plain exec before the channel is known to be open.
func (s *Session) runEarly() error {
	if s.request.Command == "" || len(s.request.Env) > 0 || s.request.Terminal != nil {
		return nil
	}
	timer := time.NewTimer(optimism)
	defer timer.Stop()
	select {
	case <-s.opened: // nothing is saved any more
		return nil
	case <-s.ended:
		return nil
	case <-timer.C:
		return s.t.out.send(s.exec(firstChannel))
	}
}

// requests are what makes the channel a running command.
func (s *Session) requests() [][]byte {
	var all [][]byte
	for _, entry := range s.request.Env {
		name, value, _ := strings.Cut(entry, "=")
		all = append(all, s.channelRequest("env", false, envRequest{name, value}))
	}
	if t := s.request.Terminal; t != nil {
		const noModes = "\x00" // TTY_OP_END: the server's defaults
		all = append(all, s.channelRequest("pty-req", false, ptyRequest{t.Term, uint32(t.Columns), uint32(t.Rows), 0, 0, noModes}))
	}
	if s.request.Command == "" {
		return append(all, s.channelRequest("shell", true, nil))
	}
	return append(all, s.exec(s.channel()))
}

func (s *Session) exec(channel uint32) []byte {
	return ssh.Marshal(channelRequest{channel, "exec", true, ssh.Marshal(textRequest{s.request.Command})})
}

// channelRequest makes a request; payload is a struct, or nil for none.
func (s *Session) channelRequest(kind string, reply bool, payload any) []byte {
	m := channelRequest{Recipient: s.channel(), Type: kind, WantReply: reply}
	if payload != nil {
		m.Payload = ssh.Marshal(payload)
	}
	return ssh.Marshal(m)
}

func (s *Session) channel() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remote
}

// wait waits for a step, or for the end of the session before it.
func (s *Session) wait(ctx context.Context, step <-chan struct{}) error {
	select {
	case <-step:
	case <-s.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-step:
		return s.refused
	default:
	}
	if s.refused != nil {
		return s.refused
	}
	return s.dead
}

// Write sends to the command's stdin. It blocks while the command does not
// read, and fails with io.ErrClosedPipe when it never will again.
func (s *Session) Write(p []byte) (int, error) {
	total := 0
	for len(p) > 0 {
		n, err := s.reserve(len(p))
		if err != nil {
			return total, err
		}
		if err := s.sendData(p[:n]); err != nil {
			return total, fmt.Errorf("%w: %w", ErrLost, err)
		}
		total += n
		p = p[n:]
	}
	return total, nil
}

// reserve waits for credit and takes up to want of it.
func (s *Session) reserve(want int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.credit == 0 && s.dead == nil && !s.noInput {
		s.cond.Wait()
	}
	switch {
	case s.noInput:
		return 0, io.ErrClosedPipe
	case s.dead != nil:
		return 0, s.dead
	}
	n := min(want, s.maxSend, int(s.credit))
	s.credit -= int64(n)
	return n, nil
}

func (s *Session) sendData(p []byte) error {
	head := notice(msgChannelData, s.channel())
	w := &s.t.out
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

// CloseWrite tells the command that its stdin has ended. Output goes on.
func (s *Session) CloseWrite() error {
	s.mu.Lock()
	again := s.noInput || s.sentClose
	s.noInput = true
	s.mu.Unlock()
	if again {
		return nil
	}
	return s.t.out.send(notice(msgChannelEOF, s.channel()))
}

// Resize tells the size of the user's terminal.
func (s *Session) Resize(columns, rows int) error {
	return s.t.out.send(s.channelRequest("window-change", false, windowChange{uint32(columns), uint32(rows), 0, 0}))
}

// Signal sends a signal to the command; name is like TERM.
func (s *Session) Signal(name string) error {
	return s.t.out.send(s.channelRequest("signal", false, textRequest{name}))
}

// StopReading tells the server that the output is not wanted any more, so that
// the command gets a broken pipe. A server that does not understand that is
// asked to close the channel.
func (s *Session) StopReading() error {
	if strings.Contains(s.t.serverVersion, "OpenSSH") {
		return s.t.out.send(s.channelRequest("eow@openssh.com", false, nil))
	}
	return s.sendClose()
}

func (s *Session) sendClose() error {
	s.mu.Lock()
	again := s.sentClose
	s.sentClose = true
	s.mu.Unlock()
	if again {
		return nil
	}
	return s.t.out.send(notice(msgChannelClose, s.channel()))
}

// Wait waits until the command has ended. It returns an ErrLost when the
// connection ended first. Output may still be there to be read.
func (s *Session) Wait() (Exit, error) {
	<-s.ended
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.exit.Known {
		return s.exit, nil
	}
	if s.dead == errClosed {
		return Exit{Status: -1}, nil
	}
	return Exit{Status: -1}, s.dead
}

// Ended returns a channel that is closed when the command has ended or the
// connection is lost.
func (s *Session) Ended() <-chan struct{} { return s.ended }

// Close closes the channel and the connection. It may be called twice.
func (s *Session) Close() error {
	s.once.Do(func() {
		select {
		case <-s.opened:
			// A peer that is gone may not hold us up.
			s.conn.SetDeadline(time.Now().Add(time.Second))
			_ = s.sendClose()
		default:
		}
		s.conn.Close()
	})
	s.loop.Wait()
	return nil
}

// consumed gives room back to the server's window, in large steps.
func (s *Session) consumed(n int) {
	s.mu.Lock()
	s.owed += n
	give := s.owed
	if give < window/8 || s.dead != nil {
		s.mu.Unlock()
		return
	}
	s.owed = 0
	s.room += give
	s.mu.Unlock()
	// A failed write ends the loop too, which tells the reader.
	_ = s.t.out.send(ssh.Marshal(windowAdjust{s.channel(), uint32(give)}))
}
