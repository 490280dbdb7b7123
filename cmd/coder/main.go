// Command coder is Berth: the server, the agent inside workspaces and the
// command line of their users in one binary. Each command has a file of its
// own that reads flags and environment, calls the packages below and prints;
// flags and environment are read nowhere else.
//
// Exit status: 0 when the command did what it says, the remote status for ssh
// (255 when the connection was lost), 128 plus the number of the signal that
// ended it, 1 for everything else.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

func main() {
	os.Exit(run())
}

func run() (code int) {
	ctx, stop := interruptible(context.Background())
	defer stop()
	defer showEscapes()()
	g := &globals{}
	defer func() {
		if r := recover(); r != nil {
			code = reportPanic(g, r)
		}
	}()
	cmd, err := rootCommand(g).ExecuteContextC(ctx)
	if cause := (signaled{}); errors.As(context.Cause(ctx), &cause) && errors.Is(err, context.Canceled) {
		err = cause
	}
	return report(os.Stderr, cmd, err)
}

// signaled is the cause of the end of a context that a signal ended.
type signaled struct{ syscall.Signal }

func (s signaled) Error() string { return s.String() }

// interruptible returns a context that the first signal to end the process
// ends; a second one has its usual effect.
func interruptible(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(signaled{s.(syscall.Signal)})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
		<-done
	}
}

func reportPanic(g *globals, value any) int {
	fmt.Fprintf(os.Stderr, "error: internal error: %v\nhint: run it again with --verbose and report what it prints\n", value)
	if g.verbose {
		os.Stderr.Write(debug.Stack())
	}
	return 1
}
