package coordinator

import (
	"sync"

	pb "google.golang.org/protobuf/proto"

	"github.com/berthdev/berth/tailnet/derpmap"
	"github.com/berthdev/berth/tailnet/proto"
)

// Maps holds the current map of relays and tells who watches when it changes.
type Maps struct {
	mu      sync.Mutex
	current *derpmap.Map
	wire    *proto.DERPMap
	changed chan struct{} // closed at the next change

	wakes map[*func()]struct{} // of followers
}

// NewMaps returns a Maps that holds m, which must not be changed afterwards.
func NewMaps(m *derpmap.Map) *Maps {
	return &Maps{current: m, wire: m.Proto(), changed: make(chan struct{})}
}

// Set replaces the map and wakes the watchers if it differs.
func (m *Maps) Set(next *derpmap.Map) {
	wire := next.Proto()
	m.mu.Lock()
	defer m.mu.Unlock()
	if pb.Equal(wire, m.wire) {
		return
	}
	m.current, m.wire = next, wire
	close(m.changed)
	m.changed = make(chan struct{})
	for wake := range m.wakes {
		(*wake)()
	}
}

// Watch returns the current map, not to be changed, and a channel that is
// closed when another takes its place.
func (m *Maps) Watch() (*derpmap.Map, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.current, m.changed
}

func (m *Maps) watchWire() (*proto.DERPMap, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.wire, m.changed
}

// follow calls wake, which must not block, at each change until stop is called.
func (m *Maps) follow(wake func()) (stop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.wakes == nil {
		m.wakes = map[*func()]struct{}{}
	}
	m.wakes[&wake] = struct{}{}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.wakes, &wake)
	}
}
