package tailnet

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"
)

// PeerInfo is what a node knows of one peer, without keys.
type PeerInfo struct {
	ID        uuid.UUID
	Addresses []netip.Addr
	Endpoints []netip.AddrPort // where it says that it can be reached over UDP
	Path      Path
	// Handshake is when WireGuard made the last one; zero if there is no session.
	Handshake time.Time
	// UDPSends and RelaySends count the packets that went each way.
	UDPSends, RelaySends uint64
}

// Peers returns what the node knows of its peers, by their ids.
func (n *Node) Peers() []PeerInfo {
	n.mu.RLock()
	all := make([]*peer, 0, len(n.byID))
	for _, p := range n.byID {
		all = append(all, p)
	}
	n.mu.RUnlock()
	slices.SortFunc(all, func(a, b *peer) int { return bytes.Compare(a.id[:], b.id[:]) })
	list := make([]PeerInfo, 0, len(all))
	for _, p := range all {
		i := PeerInfo{
			ID: p.id, Addresses: p.addrs(), Endpoints: slices.Clone(p.endpoints), Path: p.lastPath(),
			UDPSends: p.udpSends.Load(), RelaySends: p.relaySends.Load(),
		}
		i.Handshake, _ = n.LastHandshake(p.id)
		list = append(list, i)
	}
	return list
}
