//go:build linux

package host

import (
	"context"
	"sync"
	"time"

	"github.com/berthdev/berth/agent/sshd"
)

// maxEvents bounds the events that no network half has asked for: those of a
// busy day. Of more the oldest are dropped and counted.
const maxEvents = 4096

// Event is one of sshd's with its number. Those of one host follow each other,
// and those of the host after it are higher, so that whoever has seen some
// misses none of the next host's.
type Event struct {
	Number uint64 `json:"number"`
	sshd.Event
}

// events keeps what happened until a network half has passed it on.
type events struct {
	mu      sync.Mutex
	kept    []Event
	last    uint64 // number of the newest
	dropped uint64
	news    chan struct{} // closed and replaced with each event
}

// newEvents begins to count at the time of the host's start, in microseconds:
// no host has an event in each of them.
func newEvents(started time.Time) *events {
	return &events{last: uint64(started.UnixMicro()), news: make(chan struct{})}
}

func (e *events) add(event sshd.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	e.kept = append(e.kept, Event{e.last, event})
	if over := len(e.kept) - maxEvents; over > 0 {
		e.kept = append(e.kept[:0:0], e.kept[over:]...)
		e.dropped += uint64(over)
	}
	close(e.news)
	e.news = make(chan struct{})
}

// after forgets the events up to done and returns those that follow, as soon
// as there are any or ctx ends.
func (e *events) after(ctx context.Context, done uint64) []Event {
	for {
		kept, news := e.forget(done)
		if len(kept) > 0 {
			return kept
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil
		}
	}
}

func (e *events) forget(done uint64) (kept []Event, news <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.kept) > 0 && e.kept[0].Number <= done {
		e.kept = e.kept[1:]
	}
	return append([]Event{}, e.kept...), e.news
}
