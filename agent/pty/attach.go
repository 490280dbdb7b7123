//go:build linux

package pty

import (
	"slices"

	"github.com/berthdev/berth/agent/pty/screen"
)

// attach adds v, which becomes the active viewer.
func (t *terminal) attach(v *viewer) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.viewers) >= t.owner.cfg.Viewers {
		return errViewers
	}
	v.show = showFresh
	t.viewers = append(t.viewers, v)
	t.owner.counters.attached.Add(1)
	t.fitLocked()
	t.settleLocked()
	return nil
}

// detach removes v. saw says that it has been shown the end.
func (t *terminal) detach(v *viewer, saw bool) {
	t.mu.Lock()
	t.viewers = slices.DeleteFunc(t.viewers, func(other *viewer) bool { return other == v })
	t.seen = t.seen || saw
	t.fitLocked()
	forget := t.settleLocked()
	t.mu.Unlock()
	if forget {
		t.owner.forget(t)
	}
}

// activate makes v the active viewer, with a new size if width is not 0.
func (t *terminal) activate(v *viewer, width, height int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := slices.Index(t.viewers, v)
	if at < 0 || (at == len(t.viewers)-1 && width == 0) {
		return
	}
	t.viewers = append(slices.Delete(t.viewers, at, at+1), v)
	matched := t.matchesLocked(v)
	if width != 0 {
		v.width, v.height = screen.Clamp(width, height)
	}
	t.fitLocked()
	if !matched && t.matchesLocked(v) {
		t.redrawLocked(v)
	}
}

func (t *terminal) matchesLocked(v *viewer) bool {
	width, height := t.screen.Size()
	return v.width == width && v.height == height
}

// fitLocked gives the terminal the size that the policy asks for. Viewers for
// whom it was wrong and becomes right have seen nonsense, and are shown the
// screen anew. The system call only stores a number.
func (t *terminal) fitLocked() {
	if len(t.viewers) == 0 {
		return
	}
	active := t.viewers[len(t.viewers)-1]
	width, height := active.width, active.height
	if t.owner.cfg.Size == SizeSmallest {
		for _, v := range t.viewers {
			width, height = min(width, v.width), min(height, v.height)
		}
	}
	if w, h := t.screen.Size(); w == width && h == height {
		return
	}
	t.screen.Resize(width, height)
	for _, v := range t.viewers {
		if v != active && t.matchesLocked(v) {
			t.redrawLocked(v)
		}
	}
	if t.proc != nil && !t.done {
		_ = t.proc.resize(width, height) // fails only when the program ends
	}
}

// settleLocked decides what becomes of a terminal when its viewers or its
// program have changed. It reports whether the terminal is to be forgotten.
func (t *terminal) settleLocked() bool {
	if t.keep != nil {
		t.keep.Stop()
		t.keep = nil
	}
	switch {
	case len(t.viewers) > 0:
		return false
	case t.done && (t.seen || t.wasKilled()):
		return true
	}
	var timer stopper
	timer = t.owner.afterFunc(t.owner.cfg.Keep, func() { t.expire(&timer) })
	t.keep = timer
	return false
}

// expire ends a terminal that nobody has looked at for Config.Keep, unless the
// timer has been stopped meanwhile.
func (t *terminal) expire(timer *stopper) {
	t.mu.Lock()
	valid, done := t.keep == *timer, t.done
	t.mu.Unlock()
	if !valid {
		return
	}
	t.owner.counters.expired.Add(1)
	t.kill()
	if done {
		t.owner.forget(t)
	}
}

// stopKeeping is for a terminal that is forgotten.
func (t *terminal) stopKeeping() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.keep != nil {
		t.keep.Stop()
		t.keep = nil
	}
}
