//go:build linux

package sshd

import (
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// signals holds the names of RFC 4254 §6.10; they are the ones that a client
// may send, with SIG in front if it likes. OpenSSH names all others
// SIG@openssh.com when it reports them, and so do we; the one more that its
// client can send, INFO@openssh.com, Linux does not have.
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
	exitBlocked  = 65  // file transfers are blocked
	exitNoShell  = 127 // what a shell says of a command that is not there
	exitInternal = 229 // the session could not be set up
	exitUnknown  = 255 // ended, but nobody knows how
)

// ending is how a program ended.
type ending struct {
	code   int    // 255 if killed or unknown, as the client's ssh exits then
	signal string // "" unless killed
	core   bool
}

func endingOf(ws syscall.WaitStatus) ending {
	switch {
	case ws.Exited():
		return ending{code: ws.ExitStatus()}
	case ws.Signaled():
		return ending{code: exitUnknown, signal: signalName(ws.Signal()), core: ws.CoreDump()}
	default:
		return ending{code: exitUnknown}
	}
}

// message is the channel request that tells the client (RFC 4254 §6.10). Like
// sshd's, it holds no text about the signal.
func (e ending) message() (name string, payload []byte) {
	if e.signal != "" {
		return "exit-signal", ssh.Marshal(&struct {
			Signal         string
			CoreDumped     bool
			Text, Language string
		}{Signal: e.signal, CoreDumped: e.core})
	}
	return "exit-status", ssh.Marshal(&struct{ Code uint32 }{uint32(e.code)})
}
