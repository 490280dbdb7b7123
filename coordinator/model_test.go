package coordinator

import (
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/tailnet/proto"
)

// model is two replicas, whose events reach each other late, and what each peer
// believes. It knows the truth: who is connected where, with which record and
// which tunnels.
type model struct {
	t        *testing.T
	now      time.Time
	clock    int64
	replicas [2]*state
	inbox    [2][]Event
	peers    []*modelPeer
}

type modelPeer struct {
	id      uuid.UUID
	name    string
	at      int // replica; -1 when not connected
	conn    Conn
	node    *proto.Node
	tunnels map[uuid.UUID]bool
	view    map[uuid.UUID]*proto.Node // nil: believed lost
}

func newModel(t *testing.T) *model {
	m := &model{t: t, now: time.Unix(1e9, 0)}
	for i := range m.replicas {
		m.replicas[i] = newState(uuid.UUID{byte(i + 1)})
	}
	for _, name := range []string{"a", "b", "c", "d", "e", "s"} {
		m.peers = append(m.peers, &modelPeer{id: testID(name), name: name, at: -1})
	}
	return m
}

// step decodes one event from three bytes and runs it.
func (m *model) step(op, who, whom byte) {
	p, q := m.peers[int(who)%len(m.peers)], m.peers[int(whom)%len(m.peers)]
	switch op % 10 {
	case 0:
		m.connect(p, int(whom)%2)
	case 1, 2:
		if p.at >= 0 {
			p.node = testNode(p.name, p.name+string('0'+whom%4))
			m.event(p, Event{Kind: Update, Node: p.node})
		}
	case 3, 4:
		if p.at >= 0 && p != q {
			p.tunnels[q.id] = true
			m.event(p, Event{Kind: AddTunnel, Dst: q.id})
		}
	case 5:
		if p.at >= 0 {
			delete(p.tunnels, q.id)
			m.event(p, Event{Kind: RemoveTunnel, Dst: q.id})
		}
	case 6:
		m.end(p, Disconnect)
	case 7:
		m.end(p, Lost)
	case 8:
		if p.at >= 0 && p != q {
			m.event(p, Event{Kind: Ready, Dst: q.id})
		}
	case 9:
		m.deliver(int(who)%2, int(whom))
	}
}

func (m *model) connect(p *modelPeer, at int) {
	m.clock++
	p.conn = Conn{Replica: m.replicas[at].replica, Began: m.clock}
	for id := range p.view {
		p.view[id] = nil // as receivers do when they lose the coordinator
	}
	if p.view == nil {
		p.view = map[uuid.UUID]*proto.Node{}
	}
	p.at, p.node, p.tunnels = at, nil, map[uuid.UUID]bool{}
	m.event(p, Event{Kind: Connect, Role: testRole(p.name)})
	for id := range maps.Clone(m.replicas[at].peers[p.id].to) {
		p.tunnels[id] = true
		m.event(p, Event{Kind: AddTunnel, Dst: id})
	}
}

func (m *model) end(p *modelPeer, kind Kind) {
	if p.at >= 0 {
		m.event(p, Event{Kind: kind})
		p.at, p.node, p.tunnels = -1, nil, nil
	}
}

func (m *model) event(p *modelPeer, ev Event) {
	ev.Peer, ev.Conn = p.id, p.conn
	m.apply(p.at, ev)
	other := 1 - p.at
	m.inbox[other] = append(m.inbox[other], ev)
}

func (m *model) deliver(to, n int) {
	for ; n >= 0 && len(m.inbox[to]) > 0; n-- {
		ev := m.inbox[to][0]
		m.inbox[to] = m.inbox[to][1:]
		m.apply(to, ev)
	}
}

func (m *model) drain() {
	for len(m.inbox[0])+len(m.inbox[1]) > 0 {
		m.deliver(0, len(m.inbox[0]))
		m.deliver(1, len(m.inbox[1]))
	}
}

func (m *model) apply(at int, ev Event) {
	fx, err := m.replicas[at].apply(ev, m.now)
	if err != nil {
		m.t.Fatalf("apply(%+v) = %v, want no refusal", ev, err)
	}
	for _, n := range fx.notes {
		if n.update != nil {
			m.told(at, n)
		}
	}
	for _, k := range fx.kicks { // the loop reports the end of each connection
		lost := Event{Kind: Lost, Peer: k.peer, Conn: k.conn}
		m.apply(at, lost)
		m.inbox[1-at] = append(m.inbox[1-at], lost)
	}
}

// told checks and believes one update.
func (m *model) told(at int, n note) {
	r, about := m.peer(n.to), uuid.UUID(n.update.Id)
	if r.at != at {
		return // sent on a connection that has just been replaced
	}
	s := m.replicas[at]
	known := s.peers[r.id].to[about] || s.peers[r.id].from[about]
	_, believed := r.view[about]
	switch n.update.Kind {
	case proto.CoordinateResponse_PeerUpdate_NODE:
		if !known {
			m.t.Fatalf("%s learned of %s without a tunnel", r.name, m.peer(about).name)
		}
		r.view[about] = n.update.Node
	case proto.CoordinateResponse_PeerUpdate_LOST:
		if !believed {
			m.t.Fatalf("%s was told LOST of %s, whom it never knew", r.name, m.peer(about).name)
		}
		r.view[about] = nil
	case proto.CoordinateResponse_PeerUpdate_DISCONNECTED:
		if !believed {
			m.t.Fatalf("%s was told DISCONNECTED of %s, whom it never knew", r.name, m.peer(about).name)
		}
		delete(r.view, about)
	case proto.CoordinateResponse_PeerUpdate_READY_FOR_HANDSHAKE:
		if !known {
			m.t.Fatalf("%s was told READY of %s without a tunnel", r.name, m.peer(about).name)
		}
	}
}

func (m *model) peer(id uuid.UUID) *modelPeer {
	for _, p := range m.peers {
		if p.id == id {
			return p
		}
	}
	m.t.Fatalf("unknown peer %s", id)
	return nil
}

// check compares what peers believe with the truth, once all events arrived.
func (m *model) check() {
	for _, r := range m.peers {
		for _, p := range m.peers {
			if r == p || r.at < 0 {
				continue
			}
			shared := r.tunnels[p.id] || p.tunnels[r.id]
			got := r.view[p.id]
			switch {
			case shared && p.node != nil && (got == nil || !same(got, p.node)):
				m.t.Fatalf("%s shares a tunnel with %s but believes %v, want the newest record", r.name, p.name, got)
			case (!shared || p.at < 0) && got != nil:
				m.t.Fatalf("%s believes in %s: tunnel %t, connected %t", r.name, p.name, shared, p.at >= 0)
			}
		}
	}
}

func (m *model) run(program []byte, replicas byte) {
	for len(program) >= 3 {
		op, who, whom := program[0], program[1], program[2]
		if op%10 == 0 {
			whom %= replicas
		}
		m.step(op, who, whom)
		program = program[3:]
	}
	m.drain()
	m.check()
}

func FuzzCoreKeepsItsPromises(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 1, 0, 2, 1, 3, 2, 0, 1, 2, 2, 7, 0, 0, 0, 0, 1, 1, 0, 2})
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) < 3000 {
			newModel(t).run(program, 1)
			newModel(t).run(program, 2)
		}
	})
}

func TestCoreKeepsItsPromisesUnderRandomEvents(t *testing.T) {
	const seed = 7
	random := rand.New(rand.NewPCG(seed, seed))
	for round := range 3000 {
		program := make([]byte, 3*(10+random.IntN(90)))
		for i := range program {
			program[i] = byte(random.Uint32())
		}
		newModel(t).run(program, byte(1+round%2))
		if t.Failed() {
			t.Fatalf("round %d, program %v", round, program)
		}
	}
}
