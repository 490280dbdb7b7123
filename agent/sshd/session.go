//go:build linux

package sshd

import (
	"context"
	"sync"

	"golang.org/x/crypto/ssh"
)

// session is one session channel: requests that prepare it, one that starts a
// program, requests that concern the program.
//
//	env, pty-req*  →  shell | exec | subsystem  →  window-change, signal, eow*
type session struct {
	conn *connection
	ch   ssh.Channel
	ctx  context.Context // ends with the connection; requests have none of their own

	env      []string
	envBytes int
	pty      *ptyRequest
	started  bool
	proc     *process // nil before the start and for subsystems

	copiers sync.WaitGroup // output, sftp
	stdin   chan struct{}  // closed when the client's input has been passed on
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
	sig, known := signals[name]
	if err != nil || !known || s.proc == nil {
		return false
	}
	s.proc.signal(sig)
	return true
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
	switch req.Type {
	case "shell":
		s.startProcess(nil)
	case "exec":
		s.startProcess(&text)
	case "subsystem":
		s.startSFTP()
	}
}
