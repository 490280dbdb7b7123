package tailnet

import (
	"net/netip"
	"slices"
	"sync/atomic"
)

// path is the set of ways that a packet took. magicsock uses both while it is
// not sure of the direct one.
type path uint32

const (
	noPath path = 0
	viaUDP path = 1 << (iota - 1)
	viaRelay
)

func (p path) viaRelay() bool { return p&viaRelay != 0 }

// atomicPath is a path that many read.
type atomicPath struct{ v atomic.Uint32 }

func (a *atomicPath) Load() path       { return path(a.v.Load()) }
func (a *atomicPath) swap(p path) path { return path(a.v.Swap(uint32(p))) }

// Path is how packets to a peer went last.
type Path struct {
	Direct   bool           // over UDP and not also through a relay
	Relayed  bool           // through a relay only
	Endpoint netip.AddrPort // the last UDP address used; invalid if none was
	Region   int            // the peer's home relay

	// Packet is the largest packet in the tunnel that the direct path is known to
	// carry to the peer; 0 while that is not known. Narrow says that packets of 1280
	// bytes are dropped; they go through the relay then.
	Packet int
	Narrow bool
}

// Path returns how the last packets to addr went. Neither Direct nor Relayed is
// set if none went or the path is being changed.
func (n *Node) Path(addr netip.Addr) Path {
	p := n.peerByAddr(addr)
	if p == nil {
		return Path{}
	}
	return p.lastPath()
}

func (p *peer) lastPath() Path {
	took := p.path.Load()
	out := Path{Direct: took == viaUDP, Relayed: took == viaRelay, Region: p.home}
	if width := p.width.load(); out.Direct && width != unknownWidth {
		out.Packet, out.Narrow = width.packet(), width == narrow
	}
	if e := p.endpoint.Load(); e != nil {
		out.Endpoint = *e
	}
	return out
}

// Endpoints returns where the peer with addr says that it can be reached over
// UDP: addresses of its machine, and those that STUN servers see.
func (n *Node) Endpoints(addr netip.Addr) []netip.AddrPort {
	if p := n.peerByAddr(addr); p != nil {
		return slices.Clone(p.endpoints)
	}
	return nil
}
