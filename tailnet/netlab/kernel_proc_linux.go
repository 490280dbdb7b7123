package netlab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"
)

// Proc is a program that a test watches: its lines go to the test's log and
// can be waited for. It is killed with the lab, and when the test process
// dies. Its methods but Restart may be used from any goroutine.
type Proc struct {
	node *node
	spec exec.Cmd // never started, copied for every start

	mu   sync.Mutex // guards run
	run  *procRun
	runs []*procRun
}

// procRun is one life of a Proc.
type procRun struct {
	cmd    *exec.Cmd
	output *os.File // our end of its stdout and stderr
	lines  *transcript
	exited chan struct{} // closed after err is set
	err    error
	read   chan struct{} // closed when output has ended
}

// Start starts cmd, which exec.Command or Command made, on the node. Stdout
// and stderr, where cmd does not set them, are read as lines. It fails the
// test when the program cannot be started.
func (n *node) Start(cmd *exec.Cmd) *Proc {
	n.lab.t.Helper()
	p := &Proc{node: n, spec: exec.Cmd{
		Path: cmd.Path, Args: cmd.Args, Env: cmd.Env, Dir: cmd.Dir, Stdout: cmd.Stdout, Stderr: cmd.Stderr,
		ExtraFiles: cmd.ExtraFiles, SysProcAttr: cmd.SysProcAttr, Err: cmd.Err, WaitDelay: cmd.WaitDelay,
	}}
	n.must(fmt.Sprintf("start %q", cmd.Args), p.start(cmd))
	n.lab.mu.Lock()
	n.lab.procs = append(n.lab.procs, p)
	n.lab.mu.Unlock()
	return p
}

// Restart starts the program again, with the same arguments but without
// stdin, after it has ended; it fails the test while it still runs. WaitLine
// then looks at the lines of the new run.
func (p *Proc) Restart() {
	p.node.lab.t.Helper()
	run := p.current()
	select {
	case <-run.exited:
	default:
		p.node.lab.t.Fatalf("netlab: %s: restart %q: it still runs as process %d", p.node.name, p.spec.Args, run.cmd.Process.Pid)
	}
	again := p.spec
	p.node.must(fmt.Sprintf("restart %q", p.spec.Args), p.start(&again))
}

func (p *Proc) start(cmd *exec.Cmd) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = w
	}
	if cmd.Stderr == nil {
		cmd.Stderr = w
	}
	if cmd.WaitDelay == 0 {
		cmd.WaitDelay = time.Second // else a reader given as Stdin could hold us for ever
	}
	if err := p.node.lab.spawn.start(p.node.ns, cmd); err != nil {
		r.Close()
		return err
	}
	run := &procRun{
		cmd: cmd, output: r, lines: newTranscript(),
		exited: make(chan struct{}), read: make(chan struct{}),
	}
	p.mu.Lock()
	p.run = run
	p.runs = append(p.runs, run)
	p.mu.Unlock()
	label := p.node.name + "/" + commandName(cmd)
	go run.readLines(func(line string) { p.node.lab.t.Logf("%s: %s", label, line) })
	go run.wait()
	return nil
}

func (p *Proc) current() *procRun {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run
}

// PID is the process id of the current run.
func (p *Proc) PID() int { return p.current().cmd.Process.Pid }

// WaitLine waits for a line that contains substr and returns it. Each call
// looks behind the line that the last one found, also at lines that came
// before the call. It fails when ctx ends and when the program does.
func (p *Proc) WaitLine(ctx context.Context, substr string) (string, error) {
	run := p.current()
	line, err := run.lines.wait(ctx, substr)
	if err != nil {
		return "", fmt.Errorf("wait for %q from %q: %w; it wrote:\n%s", substr, p.spec.Args, err, run.lines)
	}
	return line, nil
}

// Output is what the current run wrote until now; of much, the end.
func (p *Proc) Output() string { return p.current().lines.String() }

// Wait waits until the program has ended and returns what exec.Cmd.Wait did.
func (p *Proc) Wait(ctx context.Context) error {
	run := p.current()
	select {
	case <-run.exited:
		return run.err
	case <-ctx.Done():
		return fmt.Errorf("wait for the end of %q: %w", p.spec.Args, ctx.Err())
	}
}

// Done is closed when the current run has ended.
func (p *Proc) Done() <-chan struct{} { return p.current().exited }

// Signal sends a signal to the program, not to those it started.
func (p *Proc) Signal(sig os.Signal) error { return p.current().cmd.Process.Signal(sig) }

// Kill9 kills the program, not those it started, and returns when it is dead.
func (p *Proc) Kill9() {
	run := p.current()
	_ = run.cmd.Process.Kill() // it may have ended on its own
	<-run.exited
}

// finish ends all that belongs to the Proc, whose processes are dead already.
func (p *Proc) finish() {
	p.mu.Lock()
	runs := p.runs
	p.mu.Unlock()
	for _, r := range runs {
		<-r.exited
		r.output.Close()
		<-r.read
	}
}
