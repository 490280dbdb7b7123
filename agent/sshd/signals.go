//go:build linux

package sshd

import (
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// signals holds the names of RFC 4254 §6.10; they are the ones that a client
// may send. OpenSSH names all others SIG@openssh.com when it reports them.
var signals = map[string]unix.Signal{
	"ABRT": unix.SIGABRT, "ALRM": unix.SIGALRM, "FPE": unix.SIGFPE, "HUP": unix.SIGHUP,
	"ILL": unix.SIGILL, "INT": unix.SIGINT, "KILL": unix.SIGKILL, "PIPE": unix.SIGPIPE,
	"QUIT": unix.SIGQUIT, "SEGV": unix.SIGSEGV, "TERM": unix.SIGTERM,
	"USR1": unix.SIGUSR1, "USR2": unix.SIGUSR2,
}

func signalName(sig unix.Signal) string {
	for name, s := range signals {
		if s == sig {
			return name
		}
	}
	return "SIG@openssh.com"
}

// Exit codes of our own.
const (
	exitNoShell  = 127 // what a shell says of a command that is not there
	exitInternal = 229 // the session could not be set up
	exitUnknown  = 255 // ended, but nobody knows how
)

// exitMessage is the channel request that tells how a process ended.
func exitMessage(ws syscall.WaitStatus) (name string, payload []byte) {
	switch {
	case ws.Exited():
		return exitCode(ws.ExitStatus())
	case ws.Signaled():
		return "exit-signal", ssh.Marshal(&struct {
			Signal         string
			CoreDumped     bool
			Text, Language string
		}{Signal: signalName(ws.Signal()), CoreDumped: ws.CoreDump()})
	default:
		return exitCode(exitUnknown)
	}
}

func exitCode(code int) (name string, payload []byte) {
	return "exit-status", ssh.Marshal(&struct{ Code uint32 }{uint32(code)})
}
