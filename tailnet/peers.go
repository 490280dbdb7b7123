package tailnet

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/tailscale/wireguard-go/device"
	"tailscale.com/tailcfg"
	"tailscale.com/wgengine/wgint"

	"github.com/berthdev/berth/tailnet/netstack"
	"github.com/berthdev/berth/tailnet/proto"
)

// peer is a peer of the node. Its record never changes; a new record makes a
// new peer that keeps the counters of the old one, if the keys are the same.
type peer struct {
	id uuid.UUID
	record
	nodeID tailcfg.NodeID
	view   tailcfg.NodeView
	*peerState
}

// peerState lives as long as the peer's key and addresses.
type peerState struct {
	inside     *netstack.Peer
	path       atomicPath
	deaf       deafness
	width      widthState
	udpSends   atomic.Uint64
	relaySends atomic.Uint64
	endpoint   atomic.Pointer[netip.AddrPort]
	haste      *haste
	pingedBack atomic.Int64 // when it was asked for by pingBack, in Unix nanoseconds
}

// SetPeer makes the peer id known by its record n, or replaces its record. A
// record with another key is that of another process, so the connections to the
// one before are reset. An error is an ErrRecord, or says that an address
// belongs to another peer; then nothing has changed.
func (n *Node) SetPeer(id uuid.UUID, rec *proto.Node) error {
	r, err := parseRecord(rec)
	if err != nil {
		return fmt.Errorf("peer %v: %w", id, err)
	}
	n.peerWork.Lock() // magicsock wants these calls one after the other
	defer n.peerWork.Unlock()
	n.adopt(id, r)
	if err := n.peerConflict(id, r); err != nil {
		return fmt.Errorf("peer %v: %w: %w", id, ErrRecord, err)
	}
	old := n.peer(id)
	if old != nil && !old.same(r) {
		if old.key != r.key {
			n.stack.Abort(old.addrs()...) // another process: it knows nothing of our connections
		}
		n.removePeer(old)
		old = nil
	}
	p := &peer{id: id, record: r}
	if old != nil {
		p.peerState, p.nodeID = old.peerState, old.nodeID
	} else {
		p.peerState = &peerState{inside: n.stack.AddPeer(p.addrs()...), haste: newHaste(time.Now())}
		n.lastNodeID++
		p.nodeID = n.lastNodeID
	}
	p.view = r.node(p.nodeID, n.cfg.BlockDirect)
	n.addPeer(p)
	n.magic.UpsertPeer(p.view)
	n.bindPeer(p)
	n.tellPeerNews()
	return nil
}

// adopt gives a peer a new id if r is a record of it: a peer that came back
// without its old id keeps its sessions. It is called with peerWork held.
func (n *Node) adopt(id uuid.UUID, r record) {
	n.mu.Lock()
	o := n.byKey[r.key.Raw32()]
	if o == nil || o.id == id || n.byID[id] != nil || !o.same(r) {
		n.mu.Unlock()
		return
	}
	delete(n.byID, o.id)
	n.mu.Unlock()
	n.addPeer(&peer{id: id, record: o.record, peerState: o.peerState, nodeID: o.nodeID, view: o.view})
}

// same reports whether r is a new record of the same key and addresses.
func (p *peer) same(r record) bool {
	if p.key != r.key || len(p.addresses) != len(r.addresses) {
		return false
	}
	for i := range r.addresses {
		if p.addresses[i] != r.addresses[i] {
			return false
		}
	}
	return true
}

func (p *peer) addrs() []netip.Addr {
	out := make([]netip.Addr, len(p.addresses))
	for i, a := range p.addresses {
		out[i] = a.Addr()
	}
	return out
}

// bindPeer lets the bind recognize p by magicsock's endpoint.
func (n *Node) bindPeer(p *peer) {
	ep, err := n.bind.ParseEndpoint(p.key.UntypedHexString())
	if err == nil {
		n.bind.peers.Store(ep, p)
	}
}

func (n *Node) unbindPeer(p *peer) {
	if ep, err := n.bind.ParseEndpoint(p.key.UntypedHexString()); err == nil {
		n.bind.peers.Delete(ep)
	}
}

// RemovePeer makes the peer id unknown. Its TCP connections stay, and go on if
// the peer comes back with the same address.
func (n *Node) RemovePeer(id uuid.UUID) { n.remove(id, false) }

// HangUp removes the peer id for good: its TCP connections are reset.
func (n *Node) HangUp(id uuid.UUID) { n.remove(id, true) }

func (n *Node) remove(id uuid.UUID, abort bool) {
	n.peerWork.Lock()
	defer n.peerWork.Unlock()
	p := n.peer(id)
	if p == nil {
		return
	}
	if abort {
		n.stack.Abort(p.addrs()...)
	}
	n.removePeer(p)
}

// removePeer is called with peerWork held.
func (n *Node) removePeer(p *peer) {
	n.unbindPeer(p)
	n.mu.Lock()
	delete(n.byID, p.id)
	delete(n.byKey, p.key.Raw32())
	for _, a := range p.addrs() {
		delete(n.byAddr, a)
	}
	n.mu.Unlock()
	n.stack.RemovePeer(p.inside)
	n.wireguard.RemovePeer(p.key.Raw32())
	n.magic.RemovePeer(p.nodeID)
}

// peerConflict reports a key or address that is ours or another peer's.
func (n *Node) peerConflict(id uuid.UUID, r record) error {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if r.key == n.public {
		return fmt.Errorf("the key is our own")
	}
	if o := n.byKey[r.key.Raw32()]; o != nil && o.id != id {
		return fmt.Errorf("the key is that of peer %v", o.id)
	}
	for _, a := range r.addresses {
		if n.isOwn(a.Addr()) {
			return fmt.Errorf("address %v is our own", a.Addr())
		}
		if o := n.byAddr[a.Addr()]; o != nil && o.id != id {
			return fmt.Errorf("address %v is that of peer %v", a.Addr(), o.id)
		}
	}
	return nil
}

func (n *Node) isOwn(a netip.Addr) bool {
	for _, own := range n.cfg.Addresses {
		if own.Addr() == a {
			return true
		}
	}
	return false
}

func (n *Node) addPeer(p *peer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.byID[p.id] = p
	n.byKey[p.key.Raw32()] = p
	for _, a := range p.addrs() {
		n.byAddr[a] = p
	}
}

// peerNews returns a channel that is closed when a peer has been set.
func (n *Node) peerNews() <-chan struct{} {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.news
}

func (n *Node) tellPeerNews() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.news)
	n.news = make(chan struct{})
}

func (n *Node) peer(id uuid.UUID) *peer {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.byID[id]
}

func (n *Node) peerByAddr(a netip.Addr) *peer {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.byAddr[a]
}

func (n *Node) peerByKey(k device.NoisePublicKey) *peer {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.byKey[k]
}

// LastHandshake returns when the last WireGuard handshake with the peer id was
// made. With traffic, one is made every two minutes at least.
func (n *Node) LastHandshake(id uuid.UUID) (time.Time, bool) {
	p := n.peer(id)
	if p == nil {
		return time.Time{}, false
	}
	wp, ok := n.wireguard.LookupActivePeer(p.key.Raw32())
	if !ok {
		return time.Time{}, false
	}
	t := wgint.PeerOf(wp).LastHandshake()
	return t, !t.IsZero()
}

// The functions by which WireGuard finds peers. It makes them when they are
// used and forgets them when they are idle.

func (n *Node) lookupPeer(k device.NoisePublicKey) (*device.NewPeerConfig, bool) {
	p := n.peerByKey(k)
	if p == nil {
		return nil, false
	}
	ep, err := n.bind.ParseEndpoint(p.key.UntypedHexString())
	if err != nil {
		return nil, false
	}
	n.bind.peers.Store(ep, p)
	return &device.NewPeerConfig{AllowedIPs: p.addresses, Endpoint: ep}, true
}

func (n *Node) peerForPacket(_, dst netip.Addr, _ []byte) (device.NoisePublicKey, bool) {
	p := n.peerByAddr(dst)
	if p == nil {
		return device.NoisePublicKey{}, false
	}
	return p.key.Raw32(), true
}

func (n *Node) sessionChanged(k device.NoisePublicKey, s device.PeerSessionState) {
	if p := n.peerByKey(k); p != nil {
		p.haste.session(time.Now(), s == device.PeerSessionEstablished)
		p.inside.SetEstablished(s == device.PeerSessionEstablished)
	}
}
