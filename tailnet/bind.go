package tailnet

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"github.com/tailscale/wireguard-go/conn"
	"github.com/tailscale/wireguard-go/device"
	"tailscale.com/tailcfg"
	"tailscale.com/types/ipproto"

	"github.com/berthdev/berth/tailnet/netstack"
)

// bind stands between WireGuard and magicsock. It counts the packets that are
// inside WireGuard, learns which path each packet took, sees to it that a big
// packet arrives whichever path it met, and waits where magicsock would drop.
//
// magicsock alone knows the path, and only while it sends. It reports each send
// to a function (see sentVia) before it returns, so that after a send we know
// how it went. A big packet that met a direct path is sent again, through the
// relay; its receiver drops one of the two as a replay. Until a send met a relay
// only, packets are cut small.
type bind struct {
	conn.Bind
	node  *Node
	queue *relayQueue
	peers sync.Map // of *peer by the conn.Endpoint that magicsock has for it
}

func (b *bind) peerOf(ep conn.Endpoint) *peer {
	v, _ := b.peers.Load(ep)
	p, _ := v.(*peer)
	return p
}

// Open wraps each receive function so that it waits while too many packets are
// inside, and takes out what WireGuard would drop without a word.
func (b *bind) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	fns, actual, err := b.Bind.Open(port)
	for i, receive := range fns {
		fns[i] = func(bufs [][]byte, sizes []int, eps []conn.Endpoint) (int, error) {
			b.node.stack.AwaitRoom()
			n, err := receive(bufs, sizes, eps)
			for j := range n {
				if sizes[j] == 0 {
					continue
				}
				var inside *netstack.Peer
				if p := b.peerOf(eps[j]); p != nil {
					inside = p.inside
					if isResponse(bufs[j][:sizes[j]]) {
						p.haste.response(time.Now())
					}
				}
				if !inside.Received(bufs[j], sizes[j]) {
					sizes[j] = 0
				}
			}
			return n, err
		}
	}
	return fns, actual, err
}

// isResponse reports whether msg is the answer to a handshake of WireGuard.
func isResponse(msg []byte) bool {
	return len(msg) == device.MessageResponseSize && binary.LittleEndian.Uint32(msg) == device.MessageResponseType
}

// Send sends messages of one peer.
func (b *bind) Send(bufs [][]byte, ep conn.Endpoint, offset int) error {
	p := b.peerOf(ep)
	if p == nil {
		return b.Bind.Send(bufs, ep, offset)
	}
	defer p.inside.Sent(bufs, offset)
	if p.path.Load().viaRelay() {
		return b.sendRelayed(p, bufs, ep, offset)
	}
	return b.sendDirect(p, bufs, ep, offset)
}

// sendRelayed sends in portions for which the relay's queue has room.
func (b *bind) sendRelayed(p *peer, bufs [][]byte, ep conn.Endpoint, offset int) error {
	for len(bufs) > 0 {
		n := min(b.queue.room(), len(bufs))
		took, err := b.sendVia(p, bufs[:n], ep, offset)
		if took != viaRelay {
			b.sendBig(p, bufs[:n], offset)
		}
		if err != nil {
			return err
		}
		bufs = bufs[n:]
	}
	return nil
}

// sendDirect sends bufs; big packets among them, cut when the path was another or
// too big for this one, go through the relay.
func (b *bind) sendDirect(p *peer, bufs [][]byte, ep conn.Endpoint, offset int) error {
	for start := 0; start < len(bufs); {
		width, end := p.width.load(), start
		for end < len(bufs) && !width.relayOnly(dataSize(bufs[end], offset)) {
			end++
		}
		if end == start {
			b.sendBig(p, bufs[start:start+1], offset)
			start++
			continue
		}
		large, largest := largeOf(bufs[start:end], offset)
		took, err := b.sendVia(p, bufs[start:end], ep, offset)
		now := time.Now()
		switch {
		case err != nil && large > 0 && b.node.sendFailed(p, largest):
			continue // with the same, the largest through the relay
		case took == viaUDP && p.deaf.isDeaf(now):
			b.relayAll(p, bufs[start:end], offset)
		case took != viaRelay:
			b.sendBig(p, bufs[start:end], offset)
		}
		if err != nil {
			return err
		}
		if took == viaUDP && p.width.isDue(now, large, largest) {
			b.node.probe(p)
		}
		start = end
	}
	return nil
}

// sendBig sends those packets of bufs through the peer's relay that will not
// arrive directly and, as far as there is room and they are few, those that may
// not.
func (b *bind) sendBig(p *peer, bufs [][]byte, offset int) {
	width := p.width.load()
	for _, buf := range bufs {
		size := dataSize(buf, offset)
		if width.relayOnly(size) || width.relayToo(size) && b.queue.free() > 0 && p.width.copies.Add(1) <= maxCopies {
			b.relayOne(p, buf[offset:])
		}
	}
}

// relayAll sends bufs through the peer's relay too.
func (b *bind) relayAll(p *peer, bufs [][]byte, offset int) {
	for _, buf := range bufs {
		if !netstack.IsProbe(buf, offset) {
			b.relayOne(p, buf[offset:])
		}
	}
}

func (b *bind) relayOne(p *peer, msg []byte) {
	b.queue.room()
	if sent, _ := b.node.magic.SendDERPPacketTo(p.key, p.home, msg); sent {
		b.queue.add(1)
	}
}

// sendVia sends bufs, returns how they went and remembers it. It is noPath if
// they did not go.
func (b *bind) sendVia(p *peer, bufs [][]byte, ep conn.Endpoint, offset int) (path, error) {
	udp, relay := p.udpSends.Load(), p.relaySends.Load()
	err := b.Bind.Send(bufs, ep, offset)
	var took path
	if p.udpSends.Load() != udp {
		took |= viaUDP
	}
	if p.relaySends.Load() != relay {
		took |= viaRelay
	}
	p.noteProbes(bufs, offset, took)
	if took != noPath && p.path.swap(took) != took {
		p.inside.SetRelayed(took == viaRelay)
		if took == viaUDP && p.width.load() == unknownWidth {
			b.node.probe(p)
		}
	}
	return took, err
}

// sentVia is called by magicsock for each batch that it sent or received; for a
// sent one before Send returns. dst is a relay's fake address or a UDP address, of
// a received one that it came from.
func (n *Node) sentVia(_ ipproto.Proto, node, dst netip.AddrPort, packets, _ int, received bool) {
	relay := dst.Addr() == tailcfg.DerpMagicIPAddr
	p := n.peerByAddr(node.Addr())
	switch {
	case received && relay:
		n.relayHeard.Store(true)
	case received:
		if p != nil {
			e := p.endpoint.Load()
			p.deaf.heard(e != nil && *e == dst)
			n.pingBack(p)
		}
	case relay:
		n.lastSent.Store(time.Now().UnixNano())
		n.bind.queue.add(packets)
		n.relayUsed.Store(true)
		if p != nil {
			p.relaySends.Add(1)
		}
	case p != nil:
		n.lastSent.Store(time.Now().UnixNano())
		p.udpSends.Add(1)
		n.sentTo(p, dst)
	}
}

// sentTo notes the address that packets to p go to.
func (n *Node) sentTo(p *peer, addr netip.AddrPort) {
	if old := p.endpoint.Load(); old == nil || *old != addr {
		p.endpoint.Store(&addr)
		p.deaf.moved()
		n.moved(p)
	}
}
