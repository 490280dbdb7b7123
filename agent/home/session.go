//go:build linux

package home

import (
	"context"
	"errors"
	"fmt"
)

// session is one piece of work on the home and the volume. No two processes
// have one for the same home, and no two that may change the same volume.
type session struct {
	cfg      Config
	home     *dir
	volume   *dir
	control  *control // nil if the volume must not be changed
	links    *links
	report   *report
	full     bool
	takeBack bool // see facts
	closers  []func()
}

// report is what a session has told so far.
type report struct {
	log   func(Line)
	code  Code
	count map[Action]int
}

func newReport(cfg Config) *report {
	r := &report{log: cfg.Log, count: map[Action]int{}}
	if r.log == nil {
		r.log = func(Line) {}
	}
	return r
}

func (r *report) say(l Line) {
	r.count[l.Action]++
	if l.Level == Error {
		r.reach(Partial)
	}
	r.log(l)
}

// reach makes the code at least c.
func (r *report) reach(c Code) { r.code = max(r.code, c) }

// fail says that something that is about no path did not work, and what that
// means.
func (r *report) fail(code Code, err error) {
	r.reach(code)
	r.say(Line{Level: Error, Action: Failed, Detail: err.Error()})
}

// begin opens everything. Without a session the report says why.
func begin(ctx context.Context, cfg Config, r *report) (*session, bool) {
	s := &session{cfg: cfg, report: r}
	switch code, err := s.open(); {
	case code == NotMounted: // not an error of the workspace: some have no volume
		r.reach(code)
		r.say(Line{Level: Warn, Action: Skipped, Detail: err.Error()})
	case err != nil:
		r.fail(code, err)
	case s.openList(ctx):
		s.openControl(ctx)
		return s, true
	}
	s.end()
	return nil, false
}

// later notes what ends with the session.
func (s *session) later(f func()) { s.closers = append(s.closers, f) }

// end gives the locks back.
func (s *session) end() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
	s.closers = nil
}

func (s *session) open() (Code, error) {
	mounted, err := isMounted(s.cfg.Volume)
	if err != nil {
		return Partial, err
	}
	if !mounted {
		return NotMounted, fmt.Errorf("no volume is mounted at %s: what is in the home is not kept", s.cfg.Volume)
	}
	if s.home, err = openRoot(s.cfg.Home, s.cfg.step); err != nil {
		return Invalid, err
	}
	s.later(s.home.close)
	if s.volume, err = openRoot(s.cfg.Volume, s.cfg.step); err != nil {
		return NotMounted, err
	}
	s.later(s.volume.close)
	return OK, nil
}

// openList reads the list of links, and keeps other processes off the home.
func (s *session) openList(ctx context.Context) bool {
	at, err := s.cfg.stateDir()
	if err != nil {
		s.report.fail(Invalid, err)
		return false
	}
	s.later(at.close)
	if err := lock(ctx, at.f, s.cfg.LockWait); err != nil {
		s.report.fail(codeOf(err), err)
		return false
	}
	if s.links, err = readLinks(at); err != nil {
		s.report.fail(Partial, err)
	}
	return true
}

// openControl finds out what may be done on the volume.
func (s *session) openControl(ctx context.Context) {
	c, err := openControl(s.volume)
	if c != nil {
		s.later(c.close)
	}
	if err != nil {
		s.report.fail(NoRoom, fmt.Errorf("the volume cannot be written to: %w", err))
		s.full = true
	}
	if c == nil {
		return
	}
	unlock, err := c.lock(ctx, s.cfg.LockWait)
	if err != nil {
		s.report.fail(codeOf(err), err)
		return
	}
	s.later(unlock)
	if err := c.clean(); err != nil {
		s.report.fail(Partial, err)
	}
	s.control = c
}

// codeOf is the code for an error about no single path.
func codeOf(err error) Code {
	switch {
	case errors.Is(err, errLocked):
		return Locked
	case noRoom(err):
		return NoRoom
	}
	return Partial
}

// failed logs that a path could not be done.
func (s *session) failed(d declaration, err error) {
	if noRoom(err) {
		s.report.reach(NoRoom)
	}
	s.report.say(d.line(Error, Failed, err.Error()))
}

// settle does what there is to do for a path, again when something changes
// meanwhile, and clears away what was put aside there.
func (s *session) settle(ctx context.Context, d declaration) {
	err := errAgain
	for try := 0; try < 5 && errors.Is(err, errAgain); try++ {
		err = s.try(ctx, d)
	}
	if err == nil {
		err = s.sweep(ctx, d)
	}
	if err != nil {
		s.failed(d, err)
	}
}

func (s *session) try(ctx context.Context, d declaration) error {
	p, err := s.find(d)
	if err != nil {
		return err
	}
	defer p.close()
	f, err := s.facts(p)
	if err != nil {
		return err
	}
	what := decide(f)
	if err := s.carryOut(ctx, p, what); err != nil {
		return err
	}
	if what.action == Skipped && s.full {
		s.report.reach(NoRoom)
	}
	if what.action != "" {
		s.report.say(d.line(what.level, what.action, what.detail))
	}
	if what.home != leaveHome || f.home == link && f.leads == toPlace {
		return s.links.add(d.path)
	}
	return nil
}
