package server

import (
	"context"
	"sync"
)

// streams are the answers that last: WebSockets and server-sent events.
// http.Server neither ends nor waits for them. The zero value is ready.
type streams struct {
	mu      sync.Mutex
	stopped bool
	running map[*context.CancelCauseFunc]struct{}
	wait    sync.WaitGroup
}

// begin derives the context of one stream, which ends with parent or, with the
// cause errStopping, when the server stops; done must be called when the
// stream has ended. It fails with errStopping when the server has stopped.
func (s *streams) begin(parent context.Context) (ctx context.Context, done func(), err error) {
	ctx, cancel := context.WithCancelCause(parent)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		cancel(errStopping)
		return nil, nil, errStopping
	}
	if s.running == nil {
		s.running = map[*context.CancelCauseFunc]struct{}{}
	}
	s.running[&cancel] = struct{}{}
	s.wait.Add(1)
	return ctx, func() { s.done(&cancel) }, nil
}

func (s *streams) done(cancel *context.CancelCauseFunc) {
	(*cancel)(nil)
	s.mu.Lock()
	delete(s.running, cancel)
	s.mu.Unlock()
	s.wait.Done()
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
