//go:build linux

package script

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// Runner runs the scripts of one workspace. Use New, then Set; the methods may
// be called concurrently.
type Runner struct {
	cfg   Config
	log   *slog.Logger
	start func(*exec.Cmd) error

	ctx     context.Context // of everything; ended by Close
	kill    context.CancelFunc
	early   context.Context // of what runs before the stop; ended by Stop
	stop    context.CancelFunc
	running sync.WaitGroup // runs, schedules, and output that was left open

	mu      sync.Mutex // guards below
	phase   Since
	scripts []*scripted
	now     []Running
	clock   chan struct{} // closed to end the schedules
	open    int           // runs whose output is open
	stopped bool          // Stop was called
}

// scripted is a script and what it prints.
type scripted struct {
	Script
	out *output
}

// Running is a script that runs, or waits to be run at the start.
type Running struct {
	Name        string    `json:"name"`
	Stage       Stage     `json:"stage"`
	Start       time.Time `json:"start"` // zero while it waits for others
	BlocksLogin bool      `json:"blocks_login"`
	of          *scripted
}

// New returns a Runner that runs nothing yet. Close it.
func New(cfg Config) *Runner {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Start == nil {
		cfg.Start = (*exec.Cmd).Start
	}
	r := &Runner{cfg: cfg, log: cfg.Log, start: cfg.Start, phase: Since{Created, time.Now()}}
	r.ctx, r.kill = context.WithCancel(context.Background())
	r.early, r.stop = context.WithCancel(r.ctx)
	return r
}

// Resume takes the place of a Runner whose start is over, so that the scripts of
// the start do not run again. Call it before Set; the zero value does nothing.
func (r *Runner) Resume(since Since) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.phase.Phase == Created && since.Phase.past(StartTimeout) {
		r.phase = since
	}
}

// Set gives the scripts. The first call begins those of the start and returns;
// a later one changes what runs by the clock and at the stop, and what a start
// that has been began with stays.
func (r *Runner) Set(scripts []Script) {
	env := r.environ()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.phase.Phase.past(ShuttingDown) {
		return
	}
	first := r.phase.Phase == Created
	if !first && slices.EqualFunc(scripts, r.scripts, func(s Script, old *scripted) bool { return s == old.Script }) {
		return
	}
	r.scripts = r.adoptLocked(scripts, env)
	if first {
		r.phaseLocked(Starting)
		r.startLocked()
		return
	}
	r.restartClockLocked()
}

// adoptLocked keeps the output of scripts that stay: its file may be open, and
// its room is used.
func (r *Runner) adoptLocked(scripts []Script, env []string) []*scripted {
	all := make([]*scripted, len(scripts))
	for i, s := range scripts {
		all[i] = &scripted{Script: s}
		for _, old := range r.scripts {
			if old.Source == s.Source && old.LogPath == s.LogPath {
				all[i].out = old.out
			}
		}
		if all[i].out == nil {
			all[i].out = newOutput(s, logPath(s, r.cfg.LogDir, env), len(scripts), r.cfg.Report)
		}
	}
	return all
}

// environ is what paths of logs are expanded with.
func (r *Runner) environ() []string {
	if r.cfg.Login != nil {
		if login, err := r.cfg.Login(r.ctx); err == nil && login.Env != nil {
			return login.Env
		}
	}
	return os.Environ()
}

// startLocked begins the scripts of the start; the schedules follow them.
func (r *Runner) startLocked() {
	at := r.atLocked(func(s Script) bool { return s.OnStart })
	for _, s := range at {
		r.now = append(r.now, Running{Name: s.Name, Stage: AtStart, BlocksLogin: s.BlocksLogin, of: s})
	}
	r.running.Go(func() {
		if len(at) > 0 {
			if err := os.MkdirAll(r.BinDir(), 0o700); err != nil {
				r.log.Warn("no directory for programs of scripts", "err", err)
			}
		}
		worst := r.runAll(r.early, at, AtStart)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.early.Err() != nil {
			return
		}
		r.phaseLocked(worst.phase(Ready, StartError, StartTimeout))
		r.restartClockLocked()
	})
}

func (r *Runner) atLocked(is func(Script) bool) (at []*scripted) {
	for _, s := range r.scripts {
		if is(s.Script) {
			at = append(at, s)
		}
	}
	return at
}

// worst is the worst end among several runs.
type worst struct{ failed, timedOut bool }

func (w worst) phase(good, failed, timedOut Phase) Phase {
	switch {
	case w.timedOut:
		return timedOut
	case w.failed:
		return failed
	}
	return good
}

// runAll runs scripts in their order and returns when all have ended.
func (r *Runner) runAll(ctx context.Context, at []*scripted, stage Stage) (all worst) {
	texts := make([]Script, len(at))
	ended := make([]chan struct{}, len(at))
	for i, s := range at {
		texts[i], ended[i] = s.Script, make(chan struct{})
	}
	p := newPlan(texts)
	results := make([]Status, len(at))
	var running sync.WaitGroup
	for i, s := range at {
		running.Go(func() {
			defer close(ended[i])
			if name, is := p.unknown[i]; is {
				s.out.say(true, "coder:after %s: there is no such script", name)
			}
			if p.circle[i] {
				results[i] = r.refuse(s, stage, "it waits for itself, by its coder:after lines and those of other scripts, and does not run")
				return
			}
			for _, before := range p.after[i] {
				<-ended[before]
			}
			if ctx.Err() != nil { // it must not begin what is to end
				results[i] = r.refuse(s, stage, "it did not run: its time was over while it waited for others")
				return
			}
			results[i] = r.run(ctx, s, stage).Status
		})
	}
	running.Wait()
	for _, status := range results {
		all.timedOut = all.timedOut || status == TimedOut
		all.failed = all.failed || !status.ok()
	}
	return all
}

// refuse reports a script that does not run.
func (r *Runner) refuse(s *scripted, stage Stage, why string) Status {
	s.out.say(true, "%s", why)
	now := time.Now()
	r.ended(s, Run{Script: s.ID, Name: s.Name, Stage: stage, Start: now, End: now, ExitCode: notStarted, Status: ExitFailure})
	return ExitFailure
}

// began notes that a script runs.
func (r *Runner) began(s *scripted, stage Stage, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgetLocked(s)
	r.now = append(r.now, Running{Name: s.Name, Stage: stage, Start: at, BlocksLogin: s.BlocksLogin && stage == AtStart, of: s})
}

// ended reports a run.
func (r *Runner) ended(s *scripted, run Run) {
	r.mu.Lock()
	r.forgetLocked(s)
	r.mu.Unlock()
	r.log.Info("script ended", "script", run.Name, "stage", run.Stage, "status", run.Status, "code", run.ExitCode, "duration", run.End.Sub(run.Start))
	r.cfg.Report(Event{Run: &run})
}

func (r *Runner) forgetLocked(s *scripted) {
	r.now = slices.DeleteFunc(r.now, func(running Running) bool { return running.of == s })
}

// phaseLocked moves to a later phase and reports it.
func (r *Runner) phaseLocked(to Phase) {
	r.phase = Since{to, time.Now()}
	since := r.phase
	r.cfg.Report(Event{Phase: &since})
}

// order is that of the phases.
var order = []Phase{Created, Starting, StartTimeout, StartError, Ready, ShuttingDown, ShutdownTimeout, ShutdownError, Off}

// past reports whether p is to or later.
func (p Phase) past(to Phase) bool { return slices.Index(order, p) >= slices.Index(order, to) }

// Status is what runs now.
func (r *Runner) Status() (phase Since, running []Running) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.phase, slices.Clone(r.now)
}

// Stopping says that the stop begins, which what comes before its scripts may
// delay.
func (r *Runner) Stopping() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.phase.Phase.past(ShuttingDown) {
		r.phaseLocked(ShuttingDown)
		r.restartClockLocked()
	}
}

// Open is the number of runs whose output is open: they go on, or something
// that they have started does.
func (r *Runner) Open() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open
}

// Stop ends what runs, runs the scripts of the stop and returns when all have
// ended, at the latest some 10 s after ctx has.
func (r *Runner) Stop(ctx context.Context) {
	r.Stopping()
	r.mu.Lock()
	if r.phase.Phase.past(ShutdownTimeout) || r.stopped {
		r.mu.Unlock()
		return
	}
	r.stopped = true
	at := r.atLocked(func(s Script) bool { return s.OnStop })
	r.mu.Unlock()
	r.stop()
	worst := r.runAll(ctx, at, AtStop)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phaseLocked(worst.phase(Off, ShutdownError, ShutdownTimeout))
}

// Close ends what runs and waits for its end. It may be called twice.
func (r *Runner) Close() error {
	r.kill()
	r.running.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.scripts {
		s.out.close()
	}
	return nil
}
