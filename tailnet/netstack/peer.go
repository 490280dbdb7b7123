package netstack

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"

	"github.com/tailscale/wireguard-go/device"
)

// A Peer is what the stack keeps for somebody it sends to. Its methods are for
// the node that joins the stack to WireGuard.
type Peer struct {
	stack     *Stack
	addresses []netip.Addr
	out, in   flow // guarded by the gates
	delivered delivered

	relayed     atomic.Bool  // packets go through a relay and nowhere else
	direct      atomic.Int32 // largest packet that the direct path carries; 0 means DirectMTU
	established atomic.Bool  // WireGuard has a session; without, it may hold or drop packets
	heard       atomic.Bool  // something came through that session
	mss         atomic.Int32 // last MSS announced by the peer
}

// AddPeer makes addresses reachable. An address belongs to the last peer that
// was added with it.
func (s *Stack) AddPeer(addresses ...netip.Addr) *Peer {
	p := &Peer{stack: s, addresses: addresses}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range addresses {
		s.peers[a] = p
	}
	return p
}

// RemovePeer makes the addresses of p unreachable.
func (s *Stack) RemovePeer(p *Peer) {
	s.mu.Lock()
	for _, a := range p.addresses {
		if s.peers[a] == p {
			delete(s.peers, a)
		}
	}
	s.mu.Unlock()
	s.out.forget(&p.out, true)
	s.in.forget(&p.in, true)
}

func (s *Stack) peer(a netip.Addr) *Peer {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.peers[a]
}

// SetRelayed tells whether packets to p go through a relay only. Unset, they
// are cut for the direct path.
func (p *Peer) SetRelayed(relayed bool) { p.relayed.Store(relayed) }

// SetDirectMTU tells the largest packet that the direct path to p carries; less
// than DirectMTU means that.
func (p *Peer) SetDirectMTU(mtu int) { p.direct.Store(int32(mtu)) }

// Accepts returns the largest packet with TCP that p has said it takes; 0 if
// there was no connection yet.
func (p *Peer) Accepts() int {
	if mss := int(p.mss.Load()); mss > 0 {
		return min(mss+ipv6HeaderLen+tcpHeaderLen, RelayMTU)
	}
	return 0
}

// SetEstablished tells whether WireGuard has a session with p. Packets without
// one are not counted against the bound: WireGuard keeps few of them, for a
// time of its own.
func (p *Peer) SetEstablished(established bool) {
	if p.established.Swap(established) && !established {
		p.heard.Store(false)
		p.stack.out.forget(&p.out, false)
	}
}

// Heard reports whether a packet has come through the session that there is.
func (p *Peer) Heard() bool { return p.heard.Load() }

// segmentLimit is the largest TCP payload, options included, that a packet to p
// may carry now. The headers before it take 60 bytes.
func (p *Peer) segmentLimit() int {
	mtu := int(p.direct.Load())
	if p.relayed.Load() {
		mtu = RelayMTU
	}
	return max(min(mtu, p.Accepts()), DirectMTU) - ipv6HeaderLen - tcpHeaderLen
}

// Stamps carry a packet's number through WireGuard in parts of its buffer that
// WireGuard does not touch: outwards the room before the packet that is
// reserved for an encapsulation we never use, inwards the end of the buffer.
// Zero means not counted. Outwards it also carries whether the packet is a probe.

const (
	stampLen  = 8
	probeMark = 1 << 63
)

func outStamp(buf []byte) []byte { return buf[:stampLen] }

// inStamp returns nil if the packet fills the buffer.
func inStamp(buf []byte, size int) []byte {
	full := buf[:cap(buf)]
	if len(full) != device.MaxMessageSize || size > len(full)-stampLen {
		return nil
	}
	return full[len(full)-stampLen:]
}

// isData reports whether msg is a transport message of WireGuard that is not
// just a keepalive.
func isData(msg []byte) bool {
	return len(msg) > device.MessageKeepaliveSize && binary.LittleEndian.Uint32(msg) == device.MessageTransportType
}

// IsProbe reports whether a message that leaves WireGuard, which begins at offset of
// buf, carries a ping of PingSized. That says something about one path, so it must
// take no other.
func IsProbe(buf []byte, offset int) bool {
	return offset >= stampLen && isData(buf[offset:]) && binary.LittleEndian.Uint64(outStamp(buf))&probeMark != 0
}

// Sent is called after messages for p have left WireGuard for the network,
// delivered or not. Each begins at offset of its buffer.
func (p *Peer) Sent(bufs [][]byte, offset int) {
	if offset < stampLen {
		return
	}
	for i := len(bufs) - 1; i >= 0; i-- {
		if !isData(bufs[i][offset:]) {
			continue
		}
		if n := binary.LittleEndian.Uint64(outStamp(bufs[i])) &^ probeMark; n != 0 {
			p.stack.out.leave(&p.out, n)
			return
		}
	}
}

// AwaitRoom waits while there are too many received packets inside WireGuard.
// It is called before a batch is received: what is counted of a batch that is
// not handed on yet cannot come out, and would be waited for in vain.
func (s *Stack) AwaitRoom() { s.in.await() }

// Received is called before a message of p, the first size bytes of buf, enters
// WireGuard, and reports whether it may. It may not when WireGuard is sure to
// drop it without a word because it has delivered it before, or much later
// ones: a path that changes under load brings hundreds of them in a row. p is
// nil if the sender is not known yet.
func (p *Peer) Received(buf []byte, size int) bool {
	if !isData(buf[:size]) {
		return true
	}
	if p != nil && p.delivered.has(sessionOf(buf), counterOf(buf)) {
		return false
	}
	stamp := inStamp(buf, size)
	if stamp == nil {
		return true
	}
	var n uint64
	if p != nil {
		n = p.stack.in.add(&p.in, 1)
	}
	binary.LittleEndian.PutUint64(stamp, n)
	return true
}

// written notes that WireGuard has delivered the packets in bufs, all of p.
func (p *Peer) written(bufs [][]byte) {
	p.delivered.add(bufs)
	if !p.heard.Load() {
		p.heard.Store(true)
	}
	for i := len(bufs) - 1; i >= 0; i-- {
		stamp := inStamp(bufs[i], len(bufs[i]))
		if stamp == nil {
			continue
		}
		if n := binary.LittleEndian.Uint64(stamp); n != 0 {
			p.stack.in.leave(&p.in, n)
			return
		}
	}
}

// The header of a transport message, which WireGuard leaves in the buffer.

func sessionOf(msg []byte) uint32 {
	return binary.LittleEndian.Uint32(msg[device.MessageTransportOffsetReceiver:])
}

func counterOf(msg []byte) uint64 {
	return binary.LittleEndian.Uint64(msg[device.MessageTransportOffsetCounter:])
}
