//go:build linux

package sshd

import (
	"context"
	"os/exec"
)

// Shell is what a login outside of SSH starts.
type Shell struct {
	Path string   // of the program
	Env  []string // all of it but TERM
	Dir  string   // a directory that exists
}

// Shell returns the shell, environment and directory that a session of the
// server would have whose client asks for nothing.
func (s *Server) Shell(ctx context.Context) Shell {
	acc := ownAccount(ctx)
	if s.cfg.Shell != "" {
		acc.shell = s.cfg.Shell
	}
	login := Login{}
	if s.cfg.Login != nil {
		login = s.cfg.Login(ctx)
	}
	env := environment(s.environ(), nil, acc, login.Env, connectionEnv(nil, nil))
	return Shell{Path: acc.shell, Env: env, Dir: firstDir(login.Dir, homeOf(env, acc))}
}

// StartProgram starts a program of a login outside SSH as an ordinary process,
// as the ones of sessions are.
func (s *Server) StartProgram(cmd *exec.Cmd) error {
	return StartProgram(cmd, s.environ())
}

// StartProgram starts a program as an ordinary process: with neither the
// agent's priority nor its score for the kernel's choice of victims, but the
// one that CODER_PROC_OOM_SCORE in the agent's environment says.
func StartProgram(cmd *exec.Cmd, agent []string) error {
	return (&process{cmd: cmd}).start(oomScore(agent))
}
