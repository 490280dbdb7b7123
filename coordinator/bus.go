package coordinator

import (
	"sync"

	"github.com/google/uuid"
)

// Bus carries events between replicas. Package coordtest holds the tests that
// every implementation must pass.
type Bus interface {
	// Publish hands an event of replica to all other replicas. Those get the
	// events of one replica in order and at most once. It does not block; an
	// event that is not delivered is followed, for whoever missed it, by a Bye
	// and a Hello of that replica.
	Publish(replica uuid.UUID, ev Event)
	// Join makes replica a receiver until leave is called. deliver is called
	// one event at a time, also for the Bye of replicas that died. After leave
	// returns it is not called again.
	Join(replica uuid.UUID, deliver func(Event)) (leave func())
}

// MemoryBus joins the coordinators of one process. The zero value is ready.
type MemoryBus struct {
	mu      sync.Mutex
	members map[uuid.UUID]*member
}

type member struct {
	mu      sync.Mutex // one delivery at a time
	deliver func(Event)
}

// Publish implements Bus. It returns when all others have the event.
func (b *MemoryBus) Publish(replica uuid.UUID, ev Event) {
	for _, m := range b.others(replica) {
		m.call(ev)
	}
}

func (b *MemoryBus) others(replica uuid.UUID) (members []*member) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, m := range b.members {
		if id != replica {
			members = append(members, m)
		}
	}
	return members
}

func (m *member) call(ev Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.deliver != nil {
		m.deliver(ev)
	}
}

// Join implements Bus.
func (b *MemoryBus) Join(replica uuid.UUID, deliver func(Event)) (leave func()) {
	m := &member{deliver: deliver}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.members == nil {
		b.members = map[uuid.UUID]*member{}
	}
	b.members[replica] = m
	return func() { b.leave(replica, m) }
}

func (b *MemoryBus) leave(replica uuid.UUID, m *member) {
	b.mu.Lock()
	delete(b.members, replica)
	b.mu.Unlock()
	m.mu.Lock()
	m.deliver = nil
	m.mu.Unlock()
}
