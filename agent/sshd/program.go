//go:build linux

package sshd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// startProcess starts the login shell, or the command if it is not nil.
func (s *session) startProcess(command *string) {
	proc, greeting, err := s.newProcess(command)
	if err != nil {
		s.refuse(err)
		return
	}
	err = s.conn.srv.addProcess(proc)
	proc.io.closeChild()
	if err != nil {
		proc.io.close()
		s.refuse(err)
		return
	}
	s.proc = proc
	s.copiers.Go(func() { copyOut(s.ch, proc.io.out, greeting) })
	if proc.io.err != nil {
		s.copiers.Go(func() { copyOut(s.ch.Stderr(), proc.io.err, nil) })
	}
	go s.copyIn(proc.io)
	go s.run(proc)
}

// run ends the channel when proc has ended and all it printed is on its way.
// It may outlive the connection, as proc may. The exit status does not wait
// for the output: something that proc left behind may hold that open. As with
// sshd, what holds pipes holds the session, but what holds a terminal does not.
func (s *session) run(proc *process) {
	defer s.conn.srv.removeProcess(proc)
	s.exit(endingOf(proc.wait()), "")
	proc.io.leave()
	s.copiers.Wait()
	proc.io.close()
	s.closeChannel()
}

// exit tells how the program ended and reports it, for a reason of ours if
// there is one; a client that has gone is not told.
func (s *session) exit(how ending, reason string) {
	name, payload := how.message()
	_, _ = s.ch.SendRequest(name, false, payload)
	s.over(how.code, how.signal, reason)
}

func (s *session) closeChannel() {
	_ = s.ch.CloseWrite()
	_ = s.ch.Close()
}

// errContainer answers a client that wants a session in a dev container.
var errContainer = errors.New("this workspace's agent runs no dev containers: connect without " + containerVariable)

// refuse tells the user why there is no session, where sshd's child would.
func (s *session) refuse(err error) {
	s.conn.srv.log.WarnContext(s.ctx, "ssh session did not start", "error", err)
	_, _ = s.ch.Stderr().Write([]byte(err.Error() + "\r\n"))
	code := exitInternal
	if errors.Is(err, fs.ErrNotExist) {
		code = exitNoShell
	}
	s.exit(ending{code: code}, err.Error())
	s.closeChannel()
}

// blockedNotice is how an scp of the old protocol is told: a byte 2 says that
// a line follows which it shows before it gives up.
const blockedNotice = "\x02file transfers are blocked in this workspace\n"

// transfers reports whether a command runs a program that is known to transfer
// files.
func transfers(command string) bool {
	words := strings.Fields(command)
	return len(words) > 0 && slices.Contains([]string{"nc", "rsync", "scp", "sftp"}, filepath.Base(words[0]))
}

func (s *session) refuseTransfer(notice string) {
	_, _ = s.ch.Write([]byte(notice))
	s.exit(ending{code: exitBlocked}, "file transfers are blocked")
	s.closeChannel()
}

// newProcess prepares the shell or command and what is printed before it.
func (s *session) newProcess(command *string) (*process, []byte, error) {
	srv := s.conn.srv
	login := s.login()
	acc := ownAccount(s.ctx)
	if srv.cfg.Shell != "" {
		acc.shell = srv.cfg.Shell
	}
	io, err := s.openStdio()
	if err != nil {
		return nil, nil, err
	}
	env := environment(srv.environ(), s.env, acc, login.Env, s.sessionEnv(io))
	home := homeOf(env, acc)
	var greeting []byte
	if s.pty != nil && command == nil {
		greeting = append(banners(login.Banners), readMOTD(login.MOTD, home)...)
	}
	return newProcess(acc.shell, command, firstDir(login.Dir, home), env, io), greeting, nil
}

// login asks for the Login of this session once.
func (s *session) login() Login {
	if s.known == nil {
		s.known = &Login{}
		if ask := s.conn.srv.cfg.Login; ask != nil {
			*s.known = ask(s.ctx)
		}
	}
	return *s.known
}

func (s *session) openStdio() (*stdio, error) {
	if s.pty != nil {
		return openPTY(s.pty)
	}
	return openPipes()
}

// sessionEnv returns the variables that only this session has.
func (s *session) sessionEnv(io *stdio) []string {
	env := connectionEnv(s.conn.ssh.RemoteAddr(), s.conn.ssh.LocalAddr())
	if s.pty != nil {
		env = append(env, "TERM="+s.pty.Term, "SSH_TTY="+io.terminal)
	}
	if s.display != nil {
		env = append(env, "DISPLAY="+s.display.name)
	}
	if path := s.conn.agentPath(); path != "" {
		env = append(env, "SSH_AUTH_SOCK="+path)
	}
	return env
}

func (s *Server) environ() []string {
	if s.cfg.Environ != nil {
		return s.cfg.Environ
	}
	return os.Environ()
}

// homeOf returns the home directory that programs of a session with env take.
func homeOf(env []string, acc account) string {
	for _, entry := range env {
		if home, ok := strings.CutPrefix(entry, "HOME="); ok && home != "" {
			return home
		}
	}
	return acc.home
}
