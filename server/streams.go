package server

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/google/uuid"
)

// maxStreams is how many streams one user or agent may have. An editor window
// has about five.
const maxStreams = 500

// errBarred ends the streams of who may no longer connect.
var errBarred = errors.New("the user may no longer connect")

// streams are the answers that last: WebSockets and server-sent events.
// http.Server neither ends nor waits for them. The zero value is ready.
type streams struct {
	mu      sync.Mutex
	stopped bool
	running map[*context.CancelCauseFunc]uuid.UUID // their owners
	barred  map[uuid.UUID]bool
	byOwner map[uuid.UUID]int
	wait    sync.WaitGroup
}

// begin derives the context of one stream, which ends with parent or, with the
// cause errStopping, when the server stops; done must be called when the
// stream has ended. It fails with errStopping when the server has stopped, and
// when owner, a user or an agent, is barred or has too many.
func (s *streams) begin(parent context.Context, owner uuid.UUID) (ctx context.Context, done func(), err error) {
	ctx, cancel := context.WithCancelCause(parent)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		cancel(errStopping)
		return nil, nil, errStopping
	}
	if s.barred[owner] {
		cancel(nil)
		return nil, nil, forbidden(errBarred.Error())
	}
	if s.byOwner[owner] >= maxStreams {
		cancel(nil)
		return nil, nil, refuse(http.StatusTooManyRequests, "Too many open connections.", "")
	}
	if s.running == nil {
		s.running, s.byOwner = map[*context.CancelCauseFunc]uuid.UUID{}, map[uuid.UUID]int{}
	}
	s.running[&cancel] = owner
	s.byOwner[owner]++
	s.wait.Add(1)
	return ctx, func() { s.done(&cancel, owner) }, nil
}

func (s *streams) done(cancel *context.CancelCauseFunc, owner uuid.UUID) {
	(*cancel)(nil)
	s.mu.Lock()
	delete(s.running, cancel)
	if s.byOwner[owner]--; s.byOwner[owner] == 0 {
		delete(s.byOwner, owner)
	}
	s.mu.Unlock()
	s.wait.Done()
}

// bar refuses streams of an owner until admit is called: a request may be on its
// way that was let in before. Those that run go on until end is called.
func (s *streams) bar(owner uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.barred == nil {
		s.barred = map[uuid.UUID]bool{}
	}
	s.barred[owner] = true
}

// end ends all streams of an owner, with the cause errBarred.
func (s *streams) end(owner uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for cancel, of := range s.running {
		if of == owner {
			(*cancel)(errBarred)
		}
	}
}

// admit ends what bar began.
func (s *streams) admit(owner uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.barred, owner)
}

// isBarred reports whether bar was called and admit was not.
func (s *streams) isBarred(owner uuid.UUID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.barred[owner]
}

// stop ends all streams and waits for them.
func (s *streams) stop() {
	s.mu.Lock()
	s.stopped = true
	for cancel := range s.running {
		(*cancel)(errStopping)
	}
	s.mu.Unlock()
	s.wait.Wait()
}

// count is the number of streams that last.
func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.running)
}
