package server

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// beats is in how many parts the sessions are called, one after the other, so
// that thousands do not answer at the same time.
const beats = 15

// pulse calls the beat of each session every pingEvery, by one ticker for all.
// The zero value is ready.
type pulse struct {
	mu    sync.Mutex
	turn  int
	parts [beats]map[*session]struct{}
}

// join adds a session, whose first beat is a pingEvery away, until leave is
// called.
func (p *pulse) join(s *session) (leave func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	turn := p.turn
	if p.parts[turn] == nil {
		p.parts[turn] = map[*session]struct{}{}
	}
	p.parts[turn][s] = struct{}{}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.parts[turn], s)
	}
}

// run beats until ctx ends.
func (p *pulse) run(ctx context.Context) {
	tick := time.NewTicker(pingEvery / beats)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			for _, s := range p.next() {
				s.beat()
			}
		case <-ctx.Done():
			return
		}
	}
}

// next returns the sessions whose turn it is.
func (p *pulse) next() []*session {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn = (p.turn + 1) % beats
	return slices.Collect(maps.Keys(p.parts[p.turn]))
}
