package coordinator

import (
	"sync"

	"github.com/google/uuid"
)

// outbox publishes events in the order in which the core took them, without
// the coordinator's lock: a bus may deliver while it publishes. It has no
// bound of its own, because Bus.Publish does not block.
type outbox struct {
	bus     Bus
	replica uuid.UUID
	leave   func()
	done    chan struct{}

	mu     sync.Mutex
	cond   sync.Cond
	events []Event
	closed bool
}

func newOutbox(bus Bus, replica uuid.UUID) *outbox {
	o := &outbox{bus: bus, replica: replica, done: make(chan struct{})}
	o.cond.L = &o.mu
	go func() {
		defer close(o.done)
		o.run()
	}()
	return o
}

func (o *outbox) put(ev Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, ev)
	o.cond.Signal()
}

func (o *outbox) run() {
	for {
		events, closed := o.take()
		for _, ev := range events {
			o.bus.Publish(o.replica, ev)
		}
		if closed {
			return
		}
	}
}

func (o *outbox) take() ([]Event, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.events) == 0 && !o.closed {
		o.cond.Wait()
	}
	events := o.events
	o.events = nil
	return events, o.closed
}

// close says goodbye to the other replicas and leaves the bus. It may be called
// twice.
func (o *outbox) close() {
	o.mu.Lock()
	if !o.closed {
		o.closed = true
		o.events = append(o.events, Event{Kind: Bye, Conn: Conn{Replica: o.replica}})
		o.cond.Signal()
	}
	o.mu.Unlock()
	<-o.done
	o.leave()
}
