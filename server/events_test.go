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
	if ch, stop := e.watchSince(then, id); len(ch) != 0 {
		t.Error("woken though nothing has changed since")
	} else {
		stop()
	}
	e.changed(other)
	if ch, stop := e.watchSince(then, id); len(ch) != 1 {
		t.Error("not woken though something has changed since")
	} else {
		stop()
	}
	stop()
	stop()
	if len(e.waiters) != 0 {
		t.Errorf("%d waiters are left", len(e.waiters))
	}
}
