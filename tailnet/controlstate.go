package tailnet

import (
	"bytes"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/tailnet/proto"
)

const (
	// readyWait is how long a client holds a destination back for its word that
	// it is ready: a handshake that comes too early costs 5 s in WireGuard.
	readyWait = 5 * time.Second

	// lostFor is how long a peer that the coordinator lost stays programmed
	// after its last handshake. Packets need no coordinator, so the two may
	// well be talking.
	lostFor = 15 * time.Minute
)

// controlState is what a node has been told of its peers. It decides and does
// not act: each method returns what to do, in order.
//
//	        NODE               READY or 5 s
//	unknown ─────► held back ──────────────► programmed ◄──┐ NODE
//	           (a client's destination;        │   │       │
//	            others skip it)           LOST │   └► lost ┘
//	DISCONNECTED, from anywhere: removed       15 min after the last
//	                                           handshake: removed
type controlState struct {
	agent        bool
	destinations map[uuid.UUID]bool
	peers        map[uuid.UUID]*controlPeer
}

type controlPeer struct {
	rec        *proto.Node // the newest; nil while only READY came
	ready      bool        // the peer said that it is ready for a handshake
	programmed bool
	heldUntil  time.Time // zero unless held back
	lostUntil  time.Time // zero unless lost
}

// A controlAction is one thing to do about a peer.
type controlAction struct {
	id      uuid.UUID
	program *proto.Node // set the peer, and tell it that we are ready if answer
	answer  bool
	remove  bool // forget the peer; its connections wait for it to come back
	hangUp  bool // the peer is gone for good: end its connections
}

func newControlState(agent bool) *controlState {
	return &controlState{agent: agent, destinations: map[uuid.UUID]bool{}, peers: map[uuid.UUID]*controlPeer{}}
}

// update takes in one peer update.
func (s *controlState) update(now time.Time, id uuid.UUID, u *proto.CoordinateResponse_PeerUpdate, handshake time.Time) []controlAction {
	switch u.GetKind() {
	case proto.CoordinateResponse_PeerUpdate_NODE:
		return s.node(now, id, u.GetNode())
	case proto.CoordinateResponse_PeerUpdate_READY_FOR_HANDSHAKE:
		return s.isReady(id)
	case proto.CoordinateResponse_PeerUpdate_DISCONNECTED:
		if p := s.peers[id]; p != nil {
			delete(s.peers, id)
			if p.programmed {
				return []controlAction{{id: id, hangUp: true}}
			}
		}
	case proto.CoordinateResponse_PeerUpdate_LOST:
		s.lose(now, id, handshake)
	}
	return nil
}

func (s *controlState) node(now time.Time, id uuid.UUID, rec *proto.Node) []controlAction {
	if rec.GetPreferredDerp() == 0 {
		return nil // it cannot be reached yet; another record follows
	}
	s.supersede(id, rec)
	p := s.ensure(id)
	p.rec, p.lostUntil = rec, time.Time{}
	if !p.programmed && !p.ready && !s.agent && s.destinations[id] {
		if p.heldUntil.IsZero() {
			p.heldUntil = now.Add(readyWait)
		}
		return nil
	}
	return s.program(id, p)
}

// supersede forgets the lost peer whose node came back as id: one that has no
// resume token gets a new id and keeps its key. Nothing is removed, because
// SetPeer lets the node keep its sessions.
func (s *controlState) supersede(id uuid.UUID, rec *proto.Node) {
	for old, p := range s.peers {
		if old != id && !p.lostUntil.IsZero() && bytes.Equal(p.rec.GetKey(), rec.GetKey()) {
			delete(s.peers, old)
		}
	}
}

func (s *controlState) isReady(id uuid.UUID) []controlAction {
	if !s.destinations[id] {
		return nil
	}
	p := s.ensure(id)
	p.ready = true
	if p.rec == nil || p.programmed {
		return nil
	}
	return s.program(id, p)
}

func (s *controlState) program(id uuid.UUID, p *controlPeer) []controlAction {
	p.programmed, p.heldUntil = true, time.Time{}
	return []controlAction{{id: id, program: p.rec, answer: s.agent}}
}

func (s *controlState) ensure(id uuid.UUID) *controlPeer {
	if s.peers[id] == nil {
		s.peers[id] = &controlPeer{}
	}
	return s.peers[id]
}

// lose marks a peer as lost; one that was never programmed is forgotten.
func (s *controlState) lose(now time.Time, id uuid.UUID, handshake time.Time) {
	p := s.peers[id]
	switch {
	case p == nil:
	case !p.programmed:
		delete(s.peers, id)
	case p.lostUntil.IsZero():
		p.ready = false
		p.lostUntil = later(now, handshake).Add(lostFor)
	}
}

// due returns when tick has something to look at; zero means never.
func (s *controlState) due() (at time.Time) {
	for _, p := range s.peers {
		for _, t := range []time.Time{p.heldUntil, p.lostUntil} {
			if !t.IsZero() && (at.IsZero() || t.Before(at)) {
				at = t
			}
		}
	}
	return at
}

// tick programs what was held back for long enough and removes what was lost
// for long enough; a handshake in between starts the time anew.
func (s *controlState) tick(now time.Time, handshake func(uuid.UUID) time.Time) (do []controlAction) {
	for id, p := range s.peers {
		switch {
		case !p.heldUntil.IsZero() && !now.Before(p.heldUntil):
			do = append(do, s.program(id, p)...)
		case !p.lostUntil.IsZero() && !now.Before(p.lostUntil):
			if again := handshake(id).Add(lostFor); again.After(now) {
				p.lostUntil = again
				continue
			}
			delete(s.peers, id)
			do = append(do, controlAction{id: id, remove: true})
		}
	}
	return do
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
