package coordinator

import (
	"net/netip"
	"slices"

	"github.com/google/uuid"
	"tailscale.com/types/key"

	"github.com/berthdev/berth/tailnet/proto"
)

// claim is what one peer at a time may have: a key or an address.
type claim struct {
	key  key.NodePublic
	addr netip.Addr
}

// claimsOf returns what a checked record claims: its key first. The address
// that all agents of old share is nobody's.
func claimsOf(node *proto.Node) []claim {
	k, err := nodeKey(node.Key)
	if err != nil {
		return nil
	}
	claims := []claim{{key: k}}
	for _, a := range node.Addresses {
		if p, err := netip.ParsePrefix(a); err == nil && p.Addr() != legacyAddr {
			claims = append(claims, claim{addr: p.Addr()})
		}
	}
	return claims
}

// claim makes the key and addresses of node p's own and gives up those that p
// had before.
func (s *state) claim(p *peer, node *proto.Node, fx *effects) error {
	claims := claimsOf(node)
	for _, c := range claims {
		owner, taken := s.claims[c]
		if taken && owner != p.id && !s.yields(s.peers[owner], p, c, claims) {
			return ErrTaken
		}
	}
	for _, c := range claims {
		if owner, taken := s.claims[c]; taken && owner != p.id {
			s.dispossess(s.peers[owner], fx)
		}
	}
	s.release(p)
	p.claims = claims
	for _, c := range claims {
		s.claims[c] = p.id
	}
	return nil
}

// yields reports whether owner, that has c, must give way to p.
func (s *state) yields(owner, p *peer, c claim, claims []claim) bool {
	switch {
	case owner.status == lost:
		// The same node came back under a new id, having lost its resume
		// token. Anybody else waits until the grace is over: the sessions of
		// the lost node belong to its key and address together.
		return slices.Equal(owner.claims, claims)
	case p.role == Agent && owner.role != Agent && c.addr.IsValid():
		return true // an agent's address is its own by its id
	case p.conn.Replica != s.replica || owner.conn.Replica != s.replica:
		return owner.conn.after(p.conn) // two replicas at once: the earlier one has it
	}
	return false
}

// dispossess removes a peer whose claim goes to another. A lost one is not
// spoken of: DISCONNECTED would end the sessions of the node that came back.
func (s *state) dispossess(p *peer, fx *effects) {
	if p.status == lost {
		s.forget(p)
		return
	}
	s.kick(fx, p.id, p.conn, ErrTaken)
	s.disconnect(p, "replaced by another peer", fx)
}

func (s *state) release(p *peer) {
	for _, c := range p.claims {
		if s.claims[c] == p.id {
			delete(s.claims, c)
		}
	}
	p.claims = nil
}

// owner returns who has a key; the zero UUID if nobody.
func (s *state) owner(k key.NodePublic) uuid.UUID { return s.claims[claim{key: k}] }
