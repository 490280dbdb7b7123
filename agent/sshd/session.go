//go:build linux

package sshd

import (
	"context"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// session is one session channel: requests that prepare it, one that starts a
// program, requests that concern the program.
//
//	env, pty-req, x11-req, auth-agent-req*  →  shell | exec | subsystem  →  window-change, signal, break, eow*
type session struct {
	conn *connection
	ch   ssh.Channel
	ctx  context.Context // ends with the connection; requests have none of their own

	known    *Login // nil until it was asked for
	env      []string
	envBytes int
	pty      *ptyRequest
	display  *display // nil without X11
	started  bool
	proc     *process // nil before the start and for subsystems

	copiers sync.WaitGroup // output, sftp
	stdin   chan struct{}  // closed when the client's input has been passed on

	id    string // "" until it began
	kind  string
	began time.Time
	once  sync.Once // reports its end
}

// serveSession serves ch until both sides have closed it.
func (c *connection) serveSession(ctx context.Context, ch ssh.Channel, reqs <-chan *ssh.Request) {
	s := &session{conn: c, ch: ch, ctx: ctx, stdin: make(chan struct{})}
	for req := range reqs {
		s.handle(req)
	}
	s.end()
}

// end is called when the client has closed the channel. What it sent before
// still reaches a command, unless the whole connection has gone; a terminal
// hangs up at once.
func (s *session) end() {
	if s.proc != nil {
		if s.proc.io.terminal == "" {
			select {
			case <-s.stdin:
			case <-s.ctx.Done():
			}
		}
		s.proc.io.close()
		<-s.stdin
	}
	_ = s.ch.Close()
	s.copiers.Wait()
	if s.display != nil {
		s.display.close()
	}
	s.over(exitUnknown, "", s.whyGone())
}

// whyGone is the reason for the end of a session whose program still runs.
// Whether the client closed the channel or lost its connection cannot be told
// here: the channel learns of the second first.
func (s *session) whyGone() string {
	if s.conn.srv.isClosed() {
		return reasonClosing
	}
	return "the client left"
}

func (s *session) handle(req *ssh.Request) {
	switch req.Type {
	case "shell", "exec", "subsystem":
		s.handleStart(req)
	case "env":
		s.reply(req, !s.started && s.addEnv(req.Payload))
	case "pty-req":
		s.reply(req, s.setPTY(req.Payload))
	case "window-change":
		s.reply(req, s.resize(req.Payload))
	case "signal":
		s.reply(req, s.signal(req.Payload))
	case "break":
		s.reply(req, s.breakTerminal(req.Payload))
	case "x11-req":
		s.reply(req, s.forwardX11(req.Payload))
	case "auth-agent-req@openssh.com":
		s.reply(req, !s.started && s.conn.forwardAgent(s.ctx))
	case "eow@openssh.com":
		s.stopOutput()
		s.reply(req, true)
	default:
		s.reply(req, false)
	}
}

// reply answers req if it wants that; a client that has gone needs no answer.
func (s *session) reply(req *ssh.Request, ok bool) { _ = req.Reply(ok, nil) }

func (s *session) addEnv(payload []byte) bool {
	limits := s.conn.srv.limits
	entry, err := parseEnv(payload)
	if err != nil || len(s.env) >= limits.EnvVars || s.envBytes+len(entry) > limits.EnvBytes {
		s.conn.srv.counters.envRefused.Add(1)
		return false
	}
	s.env = append(s.env, entry)
	s.envBytes += len(entry)
	return true
}

func (s *session) setPTY(payload []byte) bool {
	if s.started || s.pty != nil {
		return false
	}
	pty, err := parsePTY(payload)
	s.pty = pty
	return err == nil
}

func (s *session) resize(payload []byte) bool {
	w, err := parseWindow(payload)
	if err != nil || s.pty == nil {
		return false
	}
	if s.proc == nil { // before the start: the size to start with
		s.pty.Columns, s.pty.Rows, s.pty.Width, s.pty.Height = w.Columns, w.Rows, w.Width, w.Height
		return true
	}
	return s.proc.io.terminal != "" && s.proc.io.resize(w) == nil
}

func (s *session) signal(payload []byte) bool {
	name, err := parseString(payload)
	sig, known := signals[strings.TrimPrefix(name, "SIG")]
	if err != nil || !known || s.proc == nil {
		return false
	}
	s.proc.signal(sig)
	return true
}

// breakTerminal answers a break request (RFC 4335): a terminal that has no
// line takes note of it and does nothing.
func (s *session) breakTerminal(payload []byte) bool {
	var length struct{ Milliseconds uint32 }
	return ssh.Unmarshal(payload, &length) == nil && s.proc != nil && s.proc.io.terminal != ""
}

// stopOutput closes stdout because nobody reads it at the client: the program
// gets SIGPIPE when it prints more. A terminal cannot be closed by half.
func (s *session) stopOutput() {
	if s.proc != nil && s.proc.io.terminal == "" {
		_ = s.proc.io.out.Close()
	}
}

// handleStart starts what req asks for. The answer goes out before the start,
// as it costs the client nothing to have it early.
func (s *session) handleStart(req *ssh.Request) {
	var text string
	var err error
	if req.Type != "shell" {
		text, err = parseString(req.Payload)
	}
	if err != nil || s.started || (req.Type == "subsystem" && text != "sftp") {
		s.reply(req, false)
		return
	}
	s.started = true
	s.reply(req, true)
	s.begin()
	blocked := s.conn.srv.cfg.BlockFileTransfer
	switch {
	case lastOf(s.env, containerVariable) != "":
		s.refuse(errContainer)
	case req.Type == "shell":
		s.startProcess(nil)
	case req.Type == "exec" && blocked && transfers(text):
		s.refuseTransfer(blockedNotice)
	case req.Type == "exec":
		s.startProcess(&text)
	case blocked:
		s.refuseTransfer("") // sftp would take text for a packet
	default:
		s.startSFTP()
	}
}
