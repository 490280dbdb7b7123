package coordinator

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	pb "google.golang.org/protobuf/proto"

	"github.com/berthdev/berth/tailnet/proto"
)

// lostGrace is how long the key and addresses of a lost peer stay its own:
// as long as receivers keep a lost peer after its last handshake.
const lostGrace = 15 * time.Minute

// maxTunnels bounds the tunnels that one peer may open.
const maxTunnels = 10_000

// state is what is known of all peers, and the rules. It has no clock, no
// network and no locks: apply takes an event to what must be told.
//
//	         Connect               Lost               15 min
//	absent ----------> connected --------> lost ---------------> absent
//	                    ^  |   ^            |
//	   Connect (newer) -'  |   '--Connect---'
//	                       '--Disconnect--> absent
type state struct {
	replica uuid.UUID // whose peers are told; others only count
	peers   map[uuid.UUID]*peer
	claims  map[claim]uuid.UUID
	expiry  []expiry // oldest first
	tunnels int
}

type status int

const (
	absent status = iota // known only as the end of a tunnel
	connected
	lost
)

type peer struct {
	id     uuid.UUID
	owner  uuid.UUID // a user; zero for agents and servers
	role   Role
	status status
	conn   Conn
	node   *proto.Node // nil: none yet
	claims []claim

	to, from map[uuid.UUID]bool // tunnels to and from here
	was      map[uuid.UUID]bool // ends of tunnels lost with an earlier connection

	// expelled are peers of whose end this one, being lost, is told when it is
	// back.
	expelled map[uuid.UUID]bool

	// seen is the last record of each peer that this one was told, nil after
	// it was told of a loss. Kept for peers connected here only.
	seen map[uuid.UUID]*proto.Node
}

// expiry is when a lost peer is forgotten, unless it came back.
type expiry struct {
	at   time.Time
	peer uuid.UUID
	conn Conn
}

func newState(replica uuid.UUID) *state {
	return &state{replica: replica, peers: map[uuid.UUID]*peer{}, claims: map[claim]uuid.UUID{}}
}

// apply changes the state. An error means that the event was refused and that
// nothing changed. Events of a connection that is not the peer's newest are
// ignored.
func (s *state) apply(ev Event, now time.Time) (fx effects, err error) {
	s.expire(now)
	if ev.Kind == Connect {
		s.connect(ev, now, &fx)
		return fx, nil
	}
	if ev.Kind == Bye {
		s.bye(ev, now, &fx)
		return fx, nil
	}
	if ev.Kind == Expel {
		s.expel(ev.Owner, &fx)
		return fx, nil
	}
	p := s.peers[ev.Peer]
	if p == nil || p.status != connected || p.conn != ev.Conn {
		return fx, nil
	}
	switch ev.Kind {
	case Update:
		err = s.update(p, ev.Node, &fx)
	case AddTunnel:
		err = s.addTunnel(p, ev.Dst, &fx)
	case RemoveTunnel:
		s.removeTunnel(p, ev.Dst, &fx)
	case Ready:
		s.ready(p, ev.Dst, &fx)
	case Disconnect:
		s.disconnect(p, ev.Reason, &fx)
	case Lost:
		s.lose(p, ev.Reason, now, &fx)
	}
	return fx, err
}

// connect takes a new connection. One that replaces another here keeps its
// tunnels and nobody is told. Otherwise tunnels start anew, because events about
// them may still be on their way: the replica says which of them were kept.
func (s *state) connect(ev Event, now time.Time, fx *effects) {
	p := s.peer(ev.Peer)
	if p.status != absent && !ev.Conn.after(p.conn) {
		if ev.Conn != p.conn {
			s.kick(fx, p.id, ev.Conn, ErrReplaced)
		}
		return
	}
	if p.status == connected {
		s.kick(fx, p.id, p.conn, ErrReplaced)
		if p.conn.Replica != s.replica || ev.Conn.Replica != s.replica {
			s.lose(p, "connected again", now, fx)
		}
	}
	p.role, p.owner, p.conn, p.status, p.node, p.seen = ev.Role, ev.Owner, ev.Conn, connected, nil, nil
	for _, id := range slices.SortedFunc(maps.Keys(p.expelled), compareID) {
		s.tellExpelled(p, id, fx)
	}
	p.expelled = nil
	for _, other := range s.partners(p) {
		s.tellNode(p, other, fx)
	}
}

func (s *state) update(p *peer, node *proto.Node, fx *effects) error {
	if err := s.claim(p, node, fx); err != nil {
		return err
	}
	p.node = node
	for _, other := range s.partners(p) {
		s.tellNode(other, p, fx)
	}
	return nil
}

func (s *state) addTunnel(p *peer, id uuid.UUID, fx *effects) error {
	switch {
	case p.to[id]:
		return nil
	case len(p.to) >= maxTunnels:
		return fmt.Errorf("more than %d tunnels", maxTunnels)
	}
	dst := s.peer(id)
	p.to, dst.from = with(p.to, dst.id), with(dst.from, p.id)
	delete(p.was, dst.id)
	s.tunnels++
	s.tellNode(p, dst, fx)
	s.tellNode(dst, p, fx)
	return nil
}

func (s *state) removeTunnel(p *peer, dst uuid.UUID, fx *effects) {
	if !p.to[dst] {
		return
	}
	d := s.peers[dst]
	s.cut(p, d)
	if !d.to[p.id] {
		s.tellGone(p, d, proto.CoordinateResponse_PeerUpdate_DISCONNECTED, "tunnel removed", fx)
		s.tellGone(d, p, proto.CoordinateResponse_PeerUpdate_DISCONNECTED, "tunnel removed", fx)
	}
	s.tidy(d)
}

func (s *state) ready(p *peer, dst uuid.UUID, fx *effects) {
	if !p.to[dst] && !p.from[dst] {
		if p.conn.Replica == s.replica {
			fx.notes = append(fx.notes, note{to: p.id, err: fmt.Sprintf("ready for handshake: no tunnel with peer %s", dst)})
		}
		return
	}
	if s.here(s.peers[dst]) {
		fx.tell(dst, p.id, proto.CoordinateResponse_PeerUpdate_READY_FOR_HANDSHAKE, nil, "")
	}
}

func (s *state) disconnect(p *peer, reason string, fx *effects) {
	for _, other := range s.witnesses(p) {
		s.tellGone(other, p, proto.CoordinateResponse_PeerUpdate_DISCONNECTED, reason, fx)
	}
	s.cutAll(p)
	s.forget(p)
}

func (s *state) lose(p *peer, reason string, now time.Time, fx *effects) {
	for _, other := range s.partners(p) {
		s.tellGone(other, p, proto.CoordinateResponse_PeerUpdate_LOST, reason, fx)
	}
	for id := range p.to {
		p.was = with(p.was, id)
	}
	s.cutAll(p)
	p.status, p.node, p.seen = lost, nil, nil
	s.expiry = append(s.expiry, expiry{at: now.Add(lostGrace), peer: p.id, conn: p.conn})
}

// expel has those who may know of an owner's peers hang up, and ends the
// connections of the peers. It tells all: an agent that has connected again since
// it learned of a peer has the peer still, although nobody remembers.
func (s *state) expel(owner uuid.UUID, fx *effects) {
	theirs := map[uuid.UUID]bool{}
	for id, p := range s.peers {
		if p.owner == owner && owner != uuid.Nil {
			theirs[id] = true
		}
	}
	for _, p := range s.sorted(theirs) {
		if p.status == connected {
			s.kick(fx, p.id, p.conn, ErrExpelled)
		}
		for _, other := range s.witnesses(p) {
			if other.status == lost {
				other.expelled = with(other.expelled, p.id)
			}
			s.tellExpelled(other, p.id, fx)
		}
		s.cutAll(p)
		s.forget(p)
	}
}

func (s *state) tellExpelled(r *peer, id uuid.UUID, fx *effects) {
	if s.here(r) {
		delete(r.seen, id)
		fx.tell(r.id, id, proto.CoordinateResponse_PeerUpdate_DISCONNECTED, nil, ErrExpelled.Error())
	}
}

// bye loses the peers of another replica.
func (s *state) bye(ev Event, now time.Time, fx *effects) {
	for _, p := range s.peers {
		if p.status == connected && p.conn.Replica == ev.Conn.Replica {
			s.lose(p, "server lost", now, fx)
		}
	}
}

// shutdown tells all peers here that they lost all they know of.
func (s *state) shutdown(fx *effects) {
	for _, p := range s.peers {
		for id, node := range p.seen {
			if node != nil {
				p.seen[id] = nil
				fx.tell(p.id, id, proto.CoordinateResponse_PeerUpdate_LOST, nil, "server stops")
			}
		}
	}
}

// expire forgets the peers that were lost too long.
func (s *state) expire(now time.Time) {
	for len(s.expiry) > 0 && !s.expiry[0].at.After(now) {
		e := s.expiry[0]
		s.expiry = s.expiry[1:]
		if p := s.peers[e.peer]; p != nil && p.status == lost && p.conn == e.conn {
			s.forget(p)
		}
	}
}

// events describes the peers connected here to a replica that knows nothing.
func (s *state) events() (evs []Event) {
	for _, p := range s.peers {
		if p.status != connected || p.conn.Replica != s.replica {
			continue
		}
		evs = append(evs, Event{Kind: Connect, Peer: p.id, Conn: p.conn, Role: p.role, Owner: p.owner})
		if p.node != nil {
			evs = append(evs, Event{Kind: Update, Peer: p.id, Conn: p.conn, Node: p.node})
		}
		for id := range p.to {
			evs = append(evs, Event{Kind: AddTunnel, Peer: p.id, Conn: p.conn, Dst: id})
		}
	}
	return evs
}

// tellNode tells r of p's record unless there is none or r has it already. A
// record without a home relay only makes its key known: receivers ignore it.
func (s *state) tellNode(r, p *peer, fx *effects) {
	if !s.here(r) || p.node == nil || p.node.PreferredDerp == 0 {
		return
	}
	if last := r.seen[p.id]; last != nil && same(last, p.node) {
		return
	}
	if r.seen == nil {
		r.seen = map[uuid.UUID]*proto.Node{}
	}
	r.seen[p.id] = p.node
	fx.tell(r.id, p.id, proto.CoordinateResponse_PeerUpdate_NODE, p.node, "")
}

// tellGone tells r that p is lost or disconnected if r knows of p.
func (s *state) tellGone(r, p *peer, kind proto.CoordinateResponse_PeerUpdate_Kind, reason string, fx *effects) {
	if r == nil || !s.here(r) {
		return
	}
	last, known := r.seen[p.id]
	if !known || kind == proto.CoordinateResponse_PeerUpdate_LOST && last == nil {
		return
	}
	if kind == proto.CoordinateResponse_PeerUpdate_LOST {
		r.seen[p.id] = nil
	} else {
		delete(r.seen, p.id)
	}
	fx.tell(r.id, p.id, kind, nil, reason)
}

// here reports whether p can be told something by this replica.
func (s *state) here(p *peer) bool {
	return p.status == connected && p.conn.Replica == s.replica
}

func (s *state) kick(fx *effects, id uuid.UUID, conn Conn, cause error) {
	if conn.Replica == s.replica {
		fx.kicks = append(fx.kicks, kick{peer: id, conn: conn, cause: cause})
	}
}

// partners returns the peers that share a tunnel with p, in either direction.
func (s *state) partners(p *peer) []*peer { return s.sorted(p.to, p.from) }

// witnesses returns those who may know of p: its partners, now or before p was
// lost.
func (s *state) witnesses(p *peer) []*peer { return s.sorted(p.to, p.from, p.was) }

// sorted returns the known peers of some sets, each once, in the order of ids:
// what is told must not depend on the order of a map.
func (s *state) sorted(sets ...map[uuid.UUID]bool) []*peer {
	var ids []uuid.UUID
	for _, set := range sets {
		ids = slices.AppendSeq(ids, maps.Keys(set))
	}
	slices.SortFunc(ids, compareID)
	var peers []*peer
	for _, id := range slices.Compact(ids) {
		if p := s.peers[id]; p != nil {
			peers = append(peers, p)
		}
	}
	return peers
}

func (s *state) peer(id uuid.UUID) *peer {
	p := s.peers[id]
	if p == nil {
		p = &peer{id: id}
		s.peers[id] = p
	}
	return p
}

// cut removes the tunnel p→d.
func (s *state) cut(p, d *peer) {
	delete(p.to, d.id)
	delete(d.from, p.id)
	s.tunnels--
}

func (s *state) cutAll(p *peer) {
	for id := range p.to {
		d := s.peers[id]
		s.cut(p, d)
		s.tidy(d)
	}
}

// forget makes p absent without telling anybody.
func (s *state) forget(p *peer) {
	for id := range p.was {
		if r := s.peers[id]; r != nil {
			delete(r.seen, p.id)
		}
	}
	s.release(p)
	p.status, p.node, p.seen, p.was, p.expelled = absent, nil, nil, nil, nil
	s.tidy(p)
}

// tidy drops a peer that nothing is known of.
func (s *state) tidy(p *peer) {
	if p.status == absent && len(p.from) == 0 && len(p.to) == 0 {
		delete(s.peers, p.id)
	}
}

// same reports whether two records differ at most in their time.
func same(a, b *proto.Node) bool {
	if a == b {
		return true
	}
	c := pb.Clone(a).(*proto.Node)
	c.AsOf = b.AsOf
	return pb.Equal(c, b)
}

func with(set map[uuid.UUID]bool, id uuid.UUID) map[uuid.UUID]bool {
	if set == nil {
		set = map[uuid.UUID]bool{}
	}
	set[id] = true
	return set
}

var (
	// ErrReplaced ends a connection whose peer has connected again.
	ErrReplaced = errors.New("replaced by a newer connection with the same id")
	// ErrTaken ends a connection whose peer claims a key or an address that is
	// another peer's.
	ErrTaken = errors.New("key or address belongs to another peer")
	// ErrExpelled ends the connections of a user who may no longer connect.
	ErrExpelled = errors.New("the user may no longer connect")
)
