package server

import (
	"sync"

	"github.com/google/uuid"
)

// events wakes those who wait for a change of something: a workspace, or an
// agent. A wake-up carries no data: who is woken reads the store, so that none
// can be too late or out of order. The zero value is ready.
type events struct {
	mu      sync.Mutex
	count   uint64 // of changes, of anything
	waiters map[uuid.UUID]map[*func()]struct{}
}

// watch returns a channel that holds a token after id has changed, until stop
// is called. Further changes melt into it.
func (e *events) watch(id uuid.UUID) (changed <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	e.mu.Lock()
	defer e.mu.Unlock()
	return ch, e.watchLocked(id, func() {
		select {
		case ch <- struct{}{}:
		default:
		}
	})
}

// now is a point in time for watchSince.
func (e *events) now() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.count
}

// watchSince calls wake, which must not block, after each change of id until
// stop is called. It is for who has read the store after a point in time: when
// anything has changed since, wake is called at once.
func (e *events) watchSince(then uint64, id uuid.UUID, wake func()) (stop func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.count != then {
		wake()
	}
	return e.watchLocked(id, wake)
}

func (e *events) watchLocked(id uuid.UUID, wake func()) (stop func()) {
	if e.waiters == nil {
		e.waiters = map[uuid.UUID]map[*func()]struct{}{}
	}
	if e.waiters[id] == nil {
		e.waiters[id] = map[*func()]struct{}{}
	}
	e.waiters[id][&wake] = struct{}{}
	return func() { e.leave(id, &wake) }
}

func (e *events) leave(id uuid.UUID, wake *func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.waiters[id], wake)
	if len(e.waiters[id]) == 0 {
		delete(e.waiters, id)
	}
}

// changed wakes all who watch id.
func (e *events) changed(id uuid.UUID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.count++
	for wake := range e.waiters[id] {
		(*wake)()
	}
}
