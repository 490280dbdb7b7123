package coordinator

import (
	"bytes"
	"cmp"

	"github.com/google/uuid"

	"github.com/berthdev/berth/tailnet/proto"
)

// Role says what a peer may ask for.
type Role int

const (
	// Agent answers: its addresses follow from its id, it opens no tunnels and
	// acknowledges its clients with ready-for-handshake.
	Agent Role = iota + 1
	// Client opens tunnels to the agents that Peer.Allow names and has any
	// address in the service prefixes that nobody else has.
	Client
	// Server is one of our own processes: a client that may reach every agent.
	Server
)

// Kind is what happened in an Event.
type Kind int

// The kinds of events. All but the last three are about Event.Peer.
const (
	Connect Kind = iota + 1
	Update
	AddTunnel
	RemoveTunnel
	Ready
	Disconnect
	Lost
	// Expel: all peers of Event.Owner are gone for good, also those that were
	// lost.
	Expel
	// Hello: a replica has joined or has missed events; it wants those that
	// describe the peers of all others.
	Hello
	// Bye: a replica is gone; its peers are lost.
	Bye
)

// Conn names one connection of a peer. Of two connections of the same peer the
// one that began later counts.
type Conn struct {
	// Replica is where the connection ends.
	Replica uuid.UUID
	// Began is a Unix time in nanoseconds, moved forward where needed to be
	// later than that of every connection of the peer known before it.
	Began int64
}

func (c Conn) after(o Conn) bool {
	if c.Began != o.Began {
		return c.Began > o.Began
	}
	return bytes.Compare(c.Replica[:], o.Replica[:]) > 0
}

// Event is one change. Replicas exchange events over a Bus. Events about one
// peer come from the replica that it is connected to, so that they are in order
// where the bus keeps the order of each sender.
type Event struct {
	Kind Kind
	Peer uuid.UUID
	Conn Conn        // of the peer; Hello and Bye set its Replica only
	Role Role        // Connect
	Node *proto.Node // Update; never changed after it was sent
	Dst  uuid.UUID   // AddTunnel, RemoveTunnel, Ready: the other peer
	// Owner is the user whose peer it is: Connect, zero for none; Expel.
	Owner uuid.UUID
	// Reason is told to those who learn of a Disconnect or Lost.
	Reason string
}

// note is one thing to tell a peer that is connected here: an update or, if
// update is nil, an error that leaves the stream open.
type note struct {
	to     uuid.UUID
	update *proto.CoordinateResponse_PeerUpdate
	err    string
}

// kick ends the connection of a peer.
type kick struct {
	peer  uuid.UUID
	conn  Conn
	cause error
}

// effects is what follows from an event.
type effects struct {
	notes []note
	kicks []kick
}

func (fx *effects) tell(to, about uuid.UUID, kind proto.CoordinateResponse_PeerUpdate_Kind, node *proto.Node, reason string) {
	fx.notes = append(fx.notes, note{to: to, update: &proto.CoordinateResponse_PeerUpdate{
		Id: about[:], Kind: kind, Node: node, Reason: reason,
	}})
}

func compareID(a, b uuid.UUID) int { return cmp.Compare(string(a[:]), string(b[:])) }
