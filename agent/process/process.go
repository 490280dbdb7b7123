//go:build linux

package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// process is one command.
type process struct {
	id      uuid.UUID
	request Request
	dir     string
	started time.Time
	cmd     *exec.Cmd
	out     *os.File      // our end of the output
	settled chan struct{} // closed when it has ended and its output too, or settleTime after its end

	mu     sync.Mutex // guards below
	output ring
	ended  time.Time // zero: the leader runs
	code   int
	signal string
	over   bool // the leader is reaped: its id may soon be somebody else's
}

// settleTime is how long those who wait for a command that has ended wait for the
// end of its output, which something that it left behind may hold open.
const settleTime = time.Second

// start starts a command through the user's shell, as SSH does.
func start(req Request, login Login, run func(*exec.Cmd) error) (*process, error) {
	ours, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	none, err := os.Open(os.DevNull)
	if err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	defer none.Close()
	p := &process{id: uuid.New(), request: req, dir: login.Dir, started: time.Now(), out: ours, settled: make(chan struct{})}
	p.cmd = &exec.Cmd{
		Path: login.Shell, Args: []string{filepath.Base(login.Shell), "-c", req.Command}, Dir: login.Dir, Env: login.Env,
		Stdin: none, Stdout: theirs, Stderr: theirs, SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := run(p.cmd); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", login.Shell, err), ours.Close())
	}
	return p, nil
}

// follow reads the output and waits for the end of both, which close may bring
// about.
func (p *process) follow() {
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.read()
	}()
	p.await()
	select {
	case <-read:
	case <-time.After(settleTime):
	}
	close(p.settled)
	<-read
	_ = p.out.Close()
	p.reap()
}

func (p *process) read() {
	buf := make([]byte, 16<<10)
	for {
		n, err := p.out.Read(buf)
		p.mu.Lock()
		p.output.write(buf[:n])
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// await waits for the end of the leader and notes how it ended.
func (p *process) await() {
	code, name := ending(p.cmd.Process.Pid)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended, p.code, p.signal = time.Now(), code, name
}

func (p *process) reap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	_ = p.cmd.Wait() // it has ended
}

// kill sends sig to the group, or returns ErrOver.
func (p *process) kill(sig unix.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return ErrOver
	}
	return unix.Kill(-p.cmd.Process.Pid, sig)
}

// info is what is known of the command now.
func (p *process) info() Info {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := Info{
		ID: p.id, Command: p.request.Command, Dir: p.dir, Background: p.request.Background,
		PID: p.cmd.Process.Pid, Started: p.started, Running: p.ended.IsZero(), Open: !p.over, Bytes: p.output.size,
	}
	if !i.Running {
		ended, code := p.ended, p.code
		i.Ended, i.ExitCode, i.Signal = &ended, &code, p.signal
	}
	return i
}

func (p *process) result() Output {
	o := Output{Info: p.info()}
	p.mu.Lock()
	defer p.mu.Unlock()
	o.Output, o.Omitted = p.output.text(), p.output.omitted()
	return o
}
