package server

import (
	"testing"

	"github.com/google/uuid"
)

func TestEvents(t *testing.T) {
	var e events
	id, other := uuid.New(), uuid.New()
	changed, stop := e.watch(id)
	e.changed(other)
	if len(changed) != 0 {
		t.Error("woken by a change of something else")
	}
	for range 3 {
		e.changed(id)
	}
	if len(changed) != 1 {
		t.Errorf("%d wake-ups after three changes, want one", len(changed))
	}
	then := e.now()
	woken := 0
	wake := func() { woken++ }
	e.watchSince(then, id, wake)()
	if woken != 0 {
		t.Error("woken though nothing has changed since")
	}
	e.changed(other)
	unwatch := e.watchSince(then, id, wake)
	if woken != 1 {
		t.Error("not woken though something has changed since")
	}
	e.changed(other)
	e.changed(id)
	unwatch()
	e.changed(id)
	if woken != 2 {
		t.Errorf("woken %d times, want once more for the change while it was watched", woken)
	}
	stop()
	stop()
	if len(e.waiters) != 0 {
		t.Errorf("%d waiters are left", len(e.waiters))
	}
}
