package server

import (
	"sync"

	"github.com/google/uuid"
)

// events wakes those who wait for a change of something: a workspace, or an
// agent. A wake-up carries no data: who is woken reads the store, so that none
// can be too late or out of order. Each waiter holds one wake-up at most;
// further ones melt into it. The zero value is ready.
type events struct {
	mu      sync.Mutex
	count   uint64 // of changes, of anything
	waiters map[uuid.UUID]map[chan struct{}]struct{}
}

// watch returns a channel that holds a token after id has changed, until stop
// is called.
func (e *events) watch(id uuid.UUID) (changed <-chan struct{}, stop func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.watchLocked(id)
}

// now is a point in time for watchSince.
func (e *events) now() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.count
}

// watchSince is watch for who has read the store after a point in time: when
// anything has changed since, the channel holds a token already.
func (e *events) watchSince(then uint64, id uuid.UUID) (changed <-chan struct{}, stop func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ch, stop := e.watchLocked(id)
	if e.count != then {
		ch <- struct{}{}
	}
	return ch, stop
}

func (e *events) watchLocked(id uuid.UUID) (ch chan struct{}, stop func()) {
	ch = make(chan struct{}, 1)
	if e.waiters == nil {
		e.waiters = map[uuid.UUID]map[chan struct{}]struct{}{}
	}
	if e.waiters[id] == nil {
		e.waiters[id] = map[chan struct{}]struct{}{}
	}
	e.waiters[id][ch] = struct{}{}
	return ch, func() { e.leave(id, ch) }
}

func (e *events) leave(id uuid.UUID, ch chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.waiters[id], ch)
	if len(e.waiters[id]) == 0 {
		delete(e.waiters, id)
	}
}

// changed wakes all who watch id.
func (e *events) changed(id uuid.UUID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.count++
	for ch := range e.waiters[id] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
