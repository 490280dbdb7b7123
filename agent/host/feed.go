//go:build linux

package host

import (
	"context"
	"sync"
	"time"
)

const (
	// maxEvents bounds the events of sessions that no network half has asked
	// for: those of a busy day.
	maxEvents = 4096
	// maxScriptEvents is more than the log of a workspace has room for in lines,
	// even empty ones (see package script).
	maxScriptEvents = 1 << 16
	// maxAnswer is how many events one answer brings.
	maxAnswer = 2048
)

// Numbered is an event with its number. Those of one host follow each other,
// and those of the host after it are higher, so that whoever has seen some
// misses none of the next host's.
type Numbered[T any] struct {
	Number uint64 `json:"number"`
	Event  T      `json:"event"`
}

// feed keeps what happened until a network half has passed it on. Of more than
// it may keep the oldest are dropped and counted.
type feed[T any] struct {
	most   int
	passed func(T) // is called for each event that a network half has passed on; may be nil

	mu      sync.Mutex // guards below
	kept    []Numbered[T]
	last    uint64 // number of the newest
	dropped uint64
	news    chan struct{} // closed and replaced with each event
}

// newFeed begins to count at the time of the host's start, in microseconds: no
// host has an event in each of them.
func newFeed[T any](started time.Time, most int) *feed[T] {
	return &feed[T]{most: most, last: uint64(started.UnixMicro()), news: make(chan struct{})}
}

func (f *feed[T]) add(event T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	f.kept = append(f.kept, Numbered[T]{f.last, event})
	if over := len(f.kept) - f.most; over > 0 {
		f.kept = append(f.kept[:0:0], f.kept[over:]...)
		f.dropped += uint64(over)
	}
	close(f.news)
	f.news = make(chan struct{})
}

// after forgets the events up to done and returns those that follow, as soon
// as there are any or ctx ends.
func (f *feed[T]) after(ctx context.Context, done uint64) []Numbered[T] {
	for {
		kept, news := f.forget(done)
		if len(kept) > 0 {
			return kept[:min(len(kept), maxAnswer)]
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil
		}
	}
}

// waiting is how many events are kept.
func (f *feed[T]) waiting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.kept)
}

// forget forgets the events up to done and returns the others.
func (f *feed[T]) forget(done uint64) (kept []Numbered[T], news <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.kept) > 0 && f.kept[0].Number <= done {
		if f.passed != nil {
			f.passed(f.kept[0].Event)
		}
		f.kept = f.kept[1:]
	}
	return append([]Numbered[T]{}, f.kept...), f.news
}
