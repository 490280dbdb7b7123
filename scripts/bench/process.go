//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience is how long something is waited for that takes a second on an idle
// machine.
const patience = 60 * time.Second

// machine runs programs on one host: this one, or one of a lab.
type machine func(ctx context.Context, name string, args ...string) *exec.Cmd

// process is a program that runs beside the benchmark. Its lines can be waited
// for.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	read  chan struct{} // closed when its output has ended

	mu      sync.Mutex // guards below
	lines   []string
	seen    int           // lines before this one were given out by await
	changed chan struct{} // closed and replaced with each line
}

// start starts cmd. Close ends it.
func start(cmd *exec.Cmd) (*process, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	p := &process{cmd: cmd, read: make(chan struct{}), changed: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = w, w
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		r.Close()
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		r.Close()
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	go p.readLines(r)
	return p, nil
}

func (p *process) readLines(r *os.File) {
	defer r.Close()
	defer close(p.read)
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, scan.Text())
		close(p.changed)
		p.changed = make(chan struct{})
		p.mu.Unlock()
	}
}

// await waits for a line that contains text, after the line that it found last,
// and returns it.
func (p *process) await(ctx context.Context, text string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		p.mu.Lock()
		for p.seen < len(p.lines) {
			line := p.lines[p.seen]
			p.seen++
			if strings.Contains(line, text) {
				p.mu.Unlock()
				return line, nil
			}
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
			continue
		case <-p.read:
			if p.unseen() {
				continue
			}
		case <-ctx.Done():
		}
		return "", fmt.Errorf("wait for %q of %s: it wrote:\n%s", text, strings.Join(p.cmd.Args, " "), p.tail())
	}
}

func (p *process) unseen() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen < len(p.lines)
}

func (p *process) tail() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines[max(0, len(p.lines)-20):], "\n")
}

// say writes a line to the program's stdin.
func (p *process) say(line string) error {
	_, err := io.WriteString(p.stdin, line+"\n")
	return err
}

// grace is how long a program may take to end when it is asked to.
const grace = 10 * time.Second

// Close ends the program's stdin and asks it to end, kills it if it does not,
// and waits for it.
func (p *process) Close() error {
	if p == nil {
		return nil
	}
	_ = p.stdin.Close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(grace, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	return p.wait()
}

// kill9 kills the program without a warning and waits for it.
func (p *process) kill9() error {
	if err := p.cmd.Process.Kill(); err != nil {
		return err
	}
	return p.wait()
}

// wait returns nil however the program ended.
func (p *process) wait() error {
	err := p.cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil
	}
	return err
}

// output runs a command to its end and returns its stdout.
func output(cmd *exec.Cmd) (string, error) {
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// timed runs a command to its end and returns how long it took.
func timed(cmd *exec.Cmd) (time.Duration, error) {
	began := time.Now()
	_, err := output(cmd)
	return time.Since(began), err
}

// without returns the environment without some variables.
func without(names ...string) []string {
	var env []string
	for _, entry := range os.Environ() {
		drop := false
		for _, name := range names {
			drop = drop || strings.HasPrefix(entry, name)
		}
		if !drop {
			env = append(env, entry)
		}
	}
	return env
}
