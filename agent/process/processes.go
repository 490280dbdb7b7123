//go:build linux

package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// Errors by which callers tell what is wrong.
var (
	// ErrInvalid marks a request that can never work.
	ErrInvalid = errors.New("invalid")
	// ErrUnknown is that of an id of no command, or of one that is forgotten.
	ErrUnknown = errors.New("no such process")
	// ErrOver is that of a signal to a command that has ended.
	ErrOver = errors.New("the process has ended")
	// ErrTooMany means that as many commands run as may.
	ErrTooMany = errors.New("too many processes run")
	// ErrClosed is that of a start after Close.
	ErrClosed = errors.New("the sessions of this machine end")
)

// Login is what a command starts with.
type Login struct {
	Shell string
	Env   []string // all of it
	Dir   string   // a directory that exists
}

// Config configures Processes. Login and Start are required.
type Config struct {
	// Login says what a command of the user gets.
	Login func(context.Context) (Login, error)
	// Start starts a program whose every other field is set.
	Start func(*exec.Cmd) error
	// Running is how many commands may run or have their output open at once; 0
	// means 64.
	Running int
	// Ended is how many that are over are remembered; 0 means 64.
	Ended int
	// Grace is what commands have between SIGTERM and SIGKILL in Close; 0 means
	// 3 s, as for commands of SSH.
	Grace time.Duration
	// Log gets what an operator should know. Required.
	Log *slog.Logger
}

// Processes are the commands of one user. Use New; the methods may be called
// concurrently.
type Processes struct {
	cfg     Config
	running sync.WaitGroup // Add under mu

	mu     sync.Mutex // guards below
	closed bool
	all    map[uuid.UUID]*process
	over   []*process // those that are remembered, in the order of their ends
	begun  int        // commands that are being started
}

// New returns Processes without any.
func New(cfg Config) *Processes {
	cfg.Running, cfg.Ended = cmp.Or(cfg.Running, 64), cmp.Or(cfg.Ended, 64)
	cfg.Grace = cmp.Or(cfg.Grace, 3*time.Second)
	return &Processes{cfg: cfg, all: map[uuid.UUID]*process{}}
}

// Start starts a command and does not wait for it.
func (p *Processes) Start(ctx context.Context, req Request) (Info, error) {
	if err := req.check(); err != nil {
		return Info{}, err
	}
	login, err := p.cfg.Login(ctx)
	if err != nil {
		return Info{}, err
	}
	if req.Dir != "" {
		if st, err := os.Stat(req.Dir); err != nil || !st.IsDir() {
			return Info{}, fmt.Errorf("%w: %s is no directory", ErrInvalid, req.Dir)
		}
		login.Dir = req.Dir
	}
	for _, name := range slices.Sorted(maps.Keys(req.Env)) {
		login.Env = append(login.Env[:len(login.Env):len(login.Env)], name+"="+req.Env[name])
	}
	if err := p.begin(); err != nil {
		return Info{}, err
	}
	started, err := start(req, login, p.cfg.Start)
	if err != nil {
		p.failed()
		return Info{}, err
	}
	p.add(started)
	p.cfg.Log.Info("process started", "process", started.id, "pid", started.cmd.Process.Pid)
	go func() {
		defer p.running.Done()
		started.follow()
		p.ended(started)
	}()
	return started.info(), nil
}

// begin takes room for one command.
func (p *Processes) begin() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return ErrClosed
	case p.activeLocked() >= p.cfg.Running:
		return fmt.Errorf("%w: %d", ErrTooMany, p.cfg.Running)
	}
	p.begun++
	p.running.Add(1)
	return nil
}

func (p *Processes) failed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun--
	p.running.Done()
}

// add makes a command known. One that was started while all were told to end is
// told too.
func (p *Processes) add(started *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun--
	p.all[started.id] = started
	if p.closed {
		_ = started.kill(unix.SIGTERM)
	}
}

// ended remembers a command in the place of the one that ended first.
func (p *Processes) ended(proc *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = append(p.over, proc)
	if len(p.over) > p.cfg.Ended {
		delete(p.all, p.over[0].id)
		p.over = slices.Delete(p.over, 0, 1)
	}
}

// Active is how many commands run or have their output open.
func (p *Processes) Active() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.activeLocked()
}

func (p *Processes) activeLocked() int { return p.begun + len(p.all) - len(p.over) }

// List returns the commands that are known, the newest first.
func (p *Processes) List() []Info {
	p.mu.Lock()
	all := slices.Collect(maps.Values(p.all))
	p.mu.Unlock()
	slices.SortFunc(all, func(a, b *process) int { return b.started.Compare(a.started) })
	list := make([]Info, 0, len(all))
	for _, proc := range all {
		list = append(list, proc.info())
	}
	return list
}

// Output returns what a command has printed. With wait it blocks until the command
// has ended or ctx has, which is no error.
func (p *Processes) Output(ctx context.Context, id uuid.UUID, wait bool) (Output, error) {
	proc, err := p.find(id)
	if err != nil {
		return Output{}, err
	}
	if wait {
		select {
		case <-proc.settled:
		case <-ctx.Done():
		}
	}
	return proc.result(), nil
}

// signals are those that Signal sends, by their names.
var signals = map[string]unix.Signal{"kill": unix.SIGKILL, "terminate": unix.SIGTERM, "interrupt": unix.SIGINT}

// Signal sends kill, terminate or interrupt to the process group of a command.
func (p *Processes) Signal(id uuid.UUID, name string) error {
	sig, known := signals[name]
	if !known {
		return fmt.Errorf("%w: signal %q: want kill, terminate or interrupt", ErrInvalid, name)
	}
	proc, err := p.find(id)
	if err != nil {
		return err
	}
	return proc.kill(sig)
}

func (p *Processes) find(id uuid.UUID) (*process, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	proc := p.all[id]
	if proc == nil {
		return nil, ErrUnknown
	}
	return proc, nil
}

// Close ends every command, asking first, and waits for them. What moved to a
// session of its own is not ours any more: it stays, and loses its output. Close
// may be called more than once.
func (p *Processes) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	ended := make(chan struct{})
	go func() { p.running.Wait(); close(ended) }()
	p.each(func(proc *process) { _ = proc.kill(unix.SIGTERM) })
	if within(ended, p.cfg.Grace) {
		return nil
	}
	p.each(func(proc *process) {
		_ = proc.kill(unix.SIGKILL)
		_ = proc.out.Close() // somebody else may hold the other end
	})
	if within(ended, p.cfg.Grace) {
		return nil
	}
	return fmt.Errorf("close processes: %d do not end", p.Active())
}

// each calls f for all that are not over.
func (p *Processes) each(f func(*process)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, proc := range p.all {
		if !slices.Contains(p.over, proc) {
			f(proc)
		}
	}
}

func within(done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}
