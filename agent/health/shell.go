//go:build linux

package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxOutput is how much of a script's output is kept, in bytes (reference:
	// agent §5); servers keep less.
	maxOutput = 10 << 10
	// pipesGrace is how long the output of a script is read after its process
	// group has ended: a process may have left the group with the pipe open.
	pipesGrace = 100 * time.Millisecond
)

// Shell runs scripts as a login would.
type Shell struct {
	Path string   // of the program; "" means /bin/sh
	Env  []string // all of the environment; nil means our own
	Dir  string   // a directory that exists; "" means our own

	// Start starts a process; nil means exec.Cmd.Start.
	Start func(*exec.Cmd) error
}

// Run runs the text of a script and returns what it printed to stdout and
// stderr, at most the first 10 KiB. The text is given to the shell by -c, or to
// the program that its first line names after #!. The error says how it failed:
// the cause of ctx's end, the exit status, or that output is missing. It
// returns when the script and everything in its process group have ended, which
// is killed when ctx ends.
func (s Shell) Run(ctx context.Context, text string) ([]byte, error) {
	in, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	cmd := s.command(text, out)
	err = s.start(cmd)
	_ = out.Close()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	o := readOutput(in)
	told := end(ctx, cmd.Process.Pid)
	err = cmd.Wait()
	_ = in.SetReadDeadline(time.Now().Add(pipesGrace))
	<-o.ended
	if told {
		err = context.Cause(ctx)
	}
	if o.cut {
		err = errors.Join(err, fmt.Errorf("the output is cut after %d KiB", maxOutput>>10))
	}
	return o.head, err
}

func (s Shell) command(text string, out *os.File) *exec.Cmd {
	words := []string{"/bin/sh"}
	if s.Path != "" {
		words = []string{s.Path}
	}
	first, _, _ := strings.Cut(text, "\n")
	if line, is := strings.CutPrefix(strings.TrimSpace(first), "#!"); is && strings.TrimSpace(line) != "" {
		words = strings.SplitN(strings.TrimSpace(line), " ", 2) // one argument at most, as the kernel does it
	}
	return &exec.Cmd{
		Path: words[0], Args: append(words, "-c", text), Env: s.Env, Dir: s.Dir, Stdout: out, Stderr: out,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
}

func (s Shell) start(cmd *exec.Cmd) error {
	if s.Start != nil {
		return s.Start(cmd)
	}
	return cmd.Start()
}

// end waits until the leader of a process group has ended, or ctx, and kills
// the group. It reports whether ctx ended first. The leader is not reaped before
// that, so that the group cannot be somebody else's.
func end(ctx context.Context, leader int) (told bool) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for errors.Is(unix.Waitid(unix.P_PID, leader, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
		}
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		told = true
	}
	_ = unix.Kill(-leader, unix.SIGKILL)
	<-ended
	return told
}

// output is what a script prints. The rest is for those who have seen ended
// closed.
type output struct {
	ended chan struct{}
	head  []byte
	cut   bool // there was more
}

// readOutput reads r to its end, or to its deadline.
func readOutput(r io.Reader) *output {
	o := &output{ended: make(chan struct{})}
	go func() {
		defer close(o.ended)
		o.head, _ = io.ReadAll(io.LimitReader(r, maxOutput)) // what was read before an error counts
		n, _ := io.Copy(io.Discard, r)
		o.cut = n > 0
	}()
	return o
}
