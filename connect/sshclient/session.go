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
	// Forwards are where the server listens for us. That it refuses one is an
	// ErrForwardRefused of Open.
	Forwards []Forward
	// Agent reaches the authentication agent that programs of the session may
	// ask; nil for none.
	Agent Dial
	// X11 is the display that programs of the session may use; nil for none.
	X11 *X11
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

	conn    net.Conn
	t       transport
	request Request
	main    *channel
	err     *buffer // what comes on stderr
	once    sync.Once
	opened  chan struct{} // closed when the channel is open
	started chan struct{} // closed when the command runs, or never will
	ended   chan struct{} // closed when the channel is

	loop    sync.WaitGroup // reads what the server sends
	sender  sync.WaitGroup // sends replies
	replies chan []byte    // what the loop answers
	*forwarding

	mu      sync.Mutex // guards below
	refused error      // why the command does not run
	exit    Exit
}

// Open starts what req asks for over conn, which the session owns from now on.
// It returns when the command runs. The end of ctx ends only the wait; an error
// closes conn.
func Open(ctx context.Context, conn net.Conn, req Request) (*Session, error) {
	s := newSession(conn, req)
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

func newSession(conn net.Conn, req Request) *Session {
	s := &Session{
		conn: conn, request: req, err: newBuffer(),
		opened: make(chan struct{}), started: make(chan struct{}), ended: make(chan struct{}),
		replies: make(chan []byte, maxReplies), forwarding: newForwarding(req),
	}
	s.main = newChannel(&s.t.out, ourChannel, window)
	s.Stdout, s.Stderr = &stream{buffer: s.main.in, channel: s.main}, &stream{buffer: s.err, channel: s.main}
	s.t.in.r = bufio.NewReaderSize(conn, 2*maxData)
	s.t.out.w = conn
	return s
}

func (s *Session) start(ctx context.Context) error {
	if err := s.t.handshake(s.request.HostKeyAlgo); err != nil {
		return err
	}
	first := [][]byte{
		ssh.Marshal(serviceRequest{"ssh-userauth"}),
		ssh.Marshal(userAuthRequest{s.request.User, "ssh-connection", "none"}),
	}
	for _, f := range s.request.Forwards { // before the channel: a command may rely on them
		first = append(first, f.request())
	}
	first = append(first, ssh.Marshal(channelOpen{Type: "session", Sender: ourChannel, Window: window, MaxPacket: maxData}))
	if err := s.t.out.send(first...); err != nil {
		return err
	}
	s.loop.Go(s.run)
	s.sender.Go(s.reply)
	if err := s.runEarly(); err != nil {
		return err
	}
	for _, step := range []<-chan struct{}{s.opened, s.listening} {
		if err := s.wait(ctx, step); err != nil {
			return err
		}
	}
	if err := s.t.out.send(s.requests()...); err != nil {
		return err
	}
	return s.wait(ctx, s.started)
}

// runEarly sends a plain exec before the channel is known to be open.
func (s *Session) runEarly() error {
	r := s.request
	if r.Command == "" || len(r.Env) > 0 || r.Terminal != nil || len(r.Forwards) > 0 || len(r.questions()) > 1 {
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
	all := s.askForwarding()
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
	return append(all, s.exec(s.main.number()))
}

func (s *Session) exec(channel uint32) []byte {
	return ssh.Marshal(channelRequest{channel, "exec", true, ssh.Marshal(textRequest{s.request.Command})})
}

// channelRequest makes a request; payload is a struct, or nil for none.
func (s *Session) channelRequest(kind string, reply bool, payload any) []byte {
	m := channelRequest{Recipient: s.main.number(), Type: kind, WantReply: reply}
	if payload != nil {
		m.Payload = ssh.Marshal(payload)
	}
	return ssh.Marshal(m)
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
	refused := s.refused
	s.mu.Unlock()
	select {
	case <-step:
		return refused
	default:
	}
	if refused != nil {
		return refused
	}
	return s.main.why()
}

// Write sends to the command's stdin. It blocks while the command does not
// read, and fails with io.ErrClosedPipe when it never will again.
func (s *Session) Write(p []byte) (int, error) { return s.main.Write(p) }

// CloseWrite tells the command that its stdin has ended. Output goes on.
func (s *Session) CloseWrite() error { return s.main.CloseWrite() }

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
	return s.main.sendClose()
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
	err := s.main.why()
	if err == errClosed {
		err = nil
	}
	return Exit{Status: -1}, err
}

// Ended returns a channel that is closed when the command has ended or the
// connection is lost.
func (s *Session) Ended() <-chan struct{} { return s.ended }

// Close closes the channel and the connection. Forwarded connections end with
// them. It may be called twice.
func (s *Session) Close() error {
	s.once.Do(func() {
		select {
		case <-s.opened:
			// A peer that is gone may not hold us up.
			s.conn.SetDeadline(time.Now().Add(time.Second))
			_ = s.main.sendClose()
			s.sendReplies()
		default:
		}
		s.conn.Close()
	})
	s.loop.Wait()
	s.sender.Wait()
	s.carries.Wait()
	return nil
}

// sendReplies waits until the last answers are sent, if the loop has ended.
func (s *Session) sendReplies() {
	select {
	case <-s.ended:
		s.sender.Wait()
	default:
	}
}
