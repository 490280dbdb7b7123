//go:build linux

package pty

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

var (
	// ErrNotFound is returned for an id that no terminal has.
	ErrNotFound = errors.New("there is no such terminal")

	errClosing    = errors.New("terminals are closing")
	errTerminals  = errors.New("too many terminals")
	errViewers    = errors.New("too many viewers of this terminal")
	errContainers = errors.New("terminals in containers are not supported")
)

// killGrace is how long a program has to end after SIGHUP before it is killed.
const killGrace = 3 * time.Second

// Terminals holds all terminals of a workspace. Its methods may be called at
// the same time as each other.
type Terminals struct {
	cfg       Config // with defaults filled in
	log       *slog.Logger
	counters  counters
	afterFunc func(time.Duration, func()) stopper // the clock of Keep

	running sync.WaitGroup // goroutines of terminals and Serve

	mu      sync.Mutex // guards below; taken before terminal.mu
	all     map[uuid.UUID]*terminal
	waiting map[net.Conn]struct{} // connections before their first message
	closed  bool
}

type stopper interface{ Stop() bool }

type counters struct {
	started, attached, refused, malformed atomic.Uint64
	resynced, expired                     atomic.Uint64
	answered, inputDropped, typed         atomic.Uint64
}

// New returns Terminals without any terminal. Close it.
func New(cfg Config) *Terminals {
	orInt := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	orInt(&cfg.Terminals, 64)
	orInt(&cfg.Viewers, 16)
	orInt(&cfg.Queue, 256<<10)
	if cfg.Keep == 0 {
		cfg.Keep = defaultKeep
	}
	if cfg.AttachTimeout == 0 {
		cfg.AttachTimeout = 30 * time.Second
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Terminals{
		cfg: cfg, log: log, all: map[uuid.UUID]*terminal{}, waiting: map[net.Conn]struct{}{},
		afterFunc: func(d time.Duration, f func()) stopper { return time.AfterFunc(d, f) },
	}
}

// open returns the terminal that init names, which it starts if need be, with
// v among its viewers.
func (t *Terminals) open(ctx context.Context, init Init, v *viewer) (*terminal, error) {
	if init.Container != "" {
		return nil, errContainers
	}
	t.mu.Lock()
	term, err := t.findLocked(init)
	t.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := term.start(ctx); err != nil {
		t.forget(term)
		return nil, err
	}
	return term, term.attach(v)
}

// findLocked returns the terminal of that id or makes one that is not started.
func (t *Terminals) findLocked(init Init) (*terminal, error) {
	if t.closed {
		return nil, errClosing
	}
	if term := t.all[init.ID]; term != nil {
		return term, nil
	}
	if init.MustExist {
		return nil, ErrNotFound
	}
	if len(t.all) >= t.cfg.Terminals && !t.forgetEndedLocked() {
		return nil, errTerminals
	}
	term := newTerminal(t, init)
	t.all[init.ID] = term
	return term, nil
}

// forgetEndedLocked makes room by the ended terminal that is the oldest.
func (t *Terminals) forgetEndedLocked() bool {
	var oldest *terminal
	for _, term := range t.all {
		if term.info().Ended && (oldest == nil || term.created.Before(oldest.created)) {
			oldest = term
		}
	}
	if oldest == nil {
		return false
	}
	delete(t.all, oldest.id)
	oldest.stopKeeping()
	return true
}

// forget drops term; its id is free again.
func (t *Terminals) forget(term *terminal) {
	t.mu.Lock()
	if t.all[term.id] == term {
		delete(t.all, term.id)
	}
	t.mu.Unlock()
	term.stopKeeping()
}

// List returns all terminals, the oldest first.
func (t *Terminals) List() []Info {
	t.mu.Lock()
	terms := slices.SortedFunc(maps.Values(t.all), func(a, b *terminal) int { return a.created.Compare(b.created) })
	t.mu.Unlock()
	all := make([]Info, 0, len(terms))
	for _, term := range terms {
		if info := term.info(); info.PID != 0 {
			all = append(all, info)
		}
	}
	return all
}

// Kill ends the program of a terminal, first by SIGHUP and by SIGKILL if it is
// still there after 3s, and forgets the terminal when that is done. It does not
// wait. The error is ErrNotFound or nil.
func (t *Terminals) Kill(id uuid.UUID) error {
	t.mu.Lock()
	term := t.all[id]
	t.mu.Unlock()
	if term == nil {
		return fmt.Errorf("kill terminal %s: %w", id, ErrNotFound)
	}
	term.kill()
	return nil
}

// Close ends all programs as Kill does, and all viewers, and returns when they
// are gone. It may be called more than once.
func (t *Terminals) Close() error {
	t.mu.Lock()
	t.closed = true
	for _, term := range t.all {
		term.kill()
	}
	for conn := range t.waiting {
		_ = conn.SetReadDeadline(time.Now())
	}
	t.mu.Unlock()
	t.running.Wait()
	return nil
}

// begin counts one more goroutine that Close waits for, unless it is closing.
func (t *Terminals) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.running.Add(1)
	return true
}

// Counters returns what has been done so far.
func (t *Terminals) Counters() Counters {
	c := &t.counters
	out := Counters{
		Started: c.started.Load(), Attached: c.attached.Load(), Refused: c.refused.Load(),
		Malformed: c.malformed.Load(), Resynced: c.resynced.Load(), Expired: c.expired.Load(),
		Answered: c.answered.Load(), Typed: c.typed.Load(), InputDropped: c.inputDropped.Load(),
	}
	for _, info := range t.List() {
		out.ActiveViewers += info.Viewers
		if !info.Ended {
			out.Active++
		}
	}
	return out
}
