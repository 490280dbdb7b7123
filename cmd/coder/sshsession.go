package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"

	"github.com/berthdev/berth/connect/sshclient"
	"github.com/berthdev/berth/server/api"
)

// exitLost is the exit status of OpenSSH, and ours, when the connection was
// lost.
const exitLost = 255

// session runs the shell or command and returns its exit status as error. req has
// what is forwarded.
func (o *sshOptions) session(ctx context.Context, stream net.Conn, req sshclient.Request, w way, p *progress) error {
	req.User, req.Command, req.Env, req.HostKeyAlgo = "coder", o.command, o.sessionEnv(), hostKeyAlgo(w.agent)
	stdin := int(os.Stdin.Fd())
	atTerminal := term.IsTerminal(stdin)
	req.Terminal = o.terminal(atTerminal)
	s, err := sshclient.Open(ctx, stream, req)
	if err != nil {
		return explainRefused(err)
	}
	defer s.Close()
	p.end()
	tellPorts(os.Stderr, o.forwards.rules, s.Ports())
	if o.tty > 0 && req.Terminal == nil {
		fmt.Fprintln(os.Stderr, "No terminal for the session, because stdin is none; -tt gives it one.")
	}
	if !atTerminal || req.Terminal == nil {
		return relay(ctx, s, os.Stdin)
	}
	restore, err := makeRaw(stdin)
	if err != nil {
		return fmt.Errorf("prepare the terminal: %w", err)
	}
	defer restore()
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	keys := &keyboard{in: rawKeys(os.Stdin), quit: cancel}
	beside.Go(func() { followSize(ctx, s.Resize) })
	beside.Go(func() { watchStall(ctx, w.conn, stream.(*countingConn)) })
	err = relay(ctx, s, keys)
	restore()
	if keys.ended() {
		fmt.Fprintln(os.Stderr, "\nConnection closed.")
		return exitStatus(exitLost)
	}
	return err
}

// terminal is what the session is given, by OpenSSH's rules. Programs in a terminal
// do not hear of the end of our stdin, which is why one must be wanted twice then.
// Ctrl-D in its place could end a shell that goes on otherwise, as one in tmux.
func (o *sshOptions) terminal(atTerminal bool) *sshclient.Terminal {
	switch {
	case atTerminal && (o.command == "" || o.tty > 0):
		return ourTerminal()
	case o.tty > 1:
		return &sshclient.Terminal{Term: os.Getenv("TERM"), Columns: 80, Rows: 24}
	}
	return nil
}

// times is a flag without a value that counts how often it is given.
type times int

func (n *times) String() string { return strconv.FormatBool(*n > 0) }
func (n *times) Type() string   { return "bool" }

func (n *times) Set(text string) error {
	given, err := strconv.ParseBool(text)
	if given {
		*n++
	} else {
		*n = 0
	}
	return err
}

// sessionEnv is what the session is asked to have: the user's variables, and
// what the session counts as, which the agent keeps from programs.
func (o *sshOptions) sessionEnv() []string {
	if o.usageApp == "" || o.usageApp == "ssh" || o.usageApp == "disable" {
		return o.env
	}
	return append([]string{"CODER_SSH_SESSION_TYPE=" + o.usageApp}, o.env...)
}

// hostKeyAlgo is what the agent's SSH server prefers: ours ed25519, those of
// other makes RSA.
func hostKeyAlgo(a api.Agent) string {
	if isOurs(a) {
		return ssh.KeyAlgoED25519
	}
	return ssh.KeyAlgoRSASHA256
}

// relay connects stdin, stdout and stderr to a session until it ends.
func relay(ctx context.Context, s *sshclient.Session, stdin io.Reader) error {
	// A reader of ours that goes away is an error of the write, not our end:
	// the command must hear of it.
	signal.Ignore(syscall.SIGPIPE)
	go func() { // left behind in its read of the terminal
		copyAll(s, stdin)
		s.CloseWrite()
	}()
	var outputs sync.WaitGroup
	outputs.Go(func() { show(os.Stdout, s.Stdout, s) })
	outputs.Go(func() { show(os.Stderr, s.Stderr, nil) })
	select {
	case <-s.Ended():
		outputs.Wait()
		return status(s.Wait())
	case <-ctx.Done():
		tellSignal(ctx, s)
		return ctx.Err()
	}
}

// show prints one output. When nobody reads ours any more, the command behind
// source hears of it, and the rest goes nowhere.
func show(to io.Writer, from io.WriterTo, source *sshclient.Session) {
	_, err := from.WriteTo(to)
	if err == nil || errors.Is(err, sshclient.ErrLost) {
		return
	}
	if source != nil {
		source.StopReading()
	}
	from.WriteTo(io.Discard)
}

// status turns the end of a session into the error that ends the process so.
func status(exit sshclient.Exit, err error) error {
	switch {
	case err != nil:
		return withStatus{withHint(err, "is the workspace still running? coder list tells"), exitLost}
	case exit.Signal != "":
		return exitStatus(128 + signalNumber(exit.Signal))
	case !exit.Known:
		return exitStatus(exitLost)
	case exit.Status == 0:
		return nil
	}
	return exitStatus(exit.Status)
}

// signalNumbers are those of the names that SSH knows, RFC 4254 §6.10; they
// are the same on all systems of agents.
var signalNumbers = map[string]int{
	"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "ABRT": 6, "FPE": 8, "KILL": 9, "USR1": 10,
	"SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15,
}

func signalNumber(name string) int {
	if n, ok := signalNumbers[name]; ok {
		return n
	}
	return exitLost - 128
}

// tellSignal passes the signal that ends us on to the command.
func tellSignal(ctx context.Context, s *sshclient.Session) {
	var by signaled
	if !errors.As(context.Cause(ctx), &by) {
		return
	}
	for _, name := range []string{"HUP", "INT", "TERM"} {
		if syscall.Signal(signalNumbers[name]) == by.Signal {
			s.Signal(name)
		}
	}
}
