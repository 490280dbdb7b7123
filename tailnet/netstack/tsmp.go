package netstack

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"tailscale.com/net/packet"
	"tailscale.com/types/ipproto"
)

// pings are the TSMP pings that wait for their pong, by their 8 random bytes.
type pings struct {
	mu      sync.Mutex
	waiting map[[8]byte]pending
}

type pending struct {
	peer netip.Addr
	pong chan struct{}
}

// PingTSMP sends one ping through the tunnel to the stack of the peer at addr
// and waits for its answer, which returns the round trip. Real clients test
// with it whether an agent is reachable. It starts a handshake if there is no
// session.
func (s *Stack) PingTSMP(ctx context.Context, addr netip.Addr) (time.Duration, error) {
	return s.ping(ctx, addr, 0)
}

// PingSized is PingTSMP with a ping that is a packet of size bytes in the tunnel,
// to find out whether a path carries it; see IsProbe. The answer is small.
func (s *Stack) PingSized(ctx context.Context, addr netip.Addr, size int) error {
	_, err := s.ping(ctx, addr, size-ipv6HeaderLen-tsmpPingLen)
	return err
}

const (
	tsmpPingLen = 9  // a type and 8 bytes
	tsmpPongLen = 11 // and a port
)

// isProbe reports whether pkt is a ping of PingSized: what else we send is short.
func isProbe(pkt []byte) bool {
	return pkt[nextHeaderAt] == byte(ipproto.TSMP) && len(pkt) > ipv6HeaderLen+tsmpPongLen
}

func (s *Stack) ping(ctx context.Context, addr netip.Addr, padding int) (time.Duration, error) {
	src, ok := s.sourceFor(addr)
	if !ok {
		return 0, fmt.Errorf("ping %v: no address of our own", addr)
	}
	id, pong := s.pings.begin(addr)
	defer s.pings.end(id)
	sent := time.Now()
	msg := append([]byte{byte(packet.TSMPTypePing)}, id[:]...)
	if !s.sendTSMP(src, addr, append(msg, make([]byte, padding)...)) {
		return 0, fmt.Errorf("ping %v: too many pings at once", addr)
	}
	select {
	case <-pong:
		return time.Since(sent), nil
	case <-s.done:
		return 0, fmt.Errorf("ping %v: %w", addr, net.ErrClosed)
	case <-ctx.Done():
		return 0, fmt.Errorf("ping %v: %w", addr, ctx.Err())
	}
}

// SendTSMP sends a ping whose answer nobody waits for, to keep a session and
// the mappings of the NATs on its way alive.
func (s *Stack) SendTSMP(addr netip.Addr) {
	if src, ok := s.sourceFor(addr); ok {
		s.sendTSMP(src, addr, append([]byte{byte(packet.TSMPTypePing)}, make([]byte, 8)...))
	}
}

// sourceFor picks our address in the /48 of addr, else our first.
func (s *Stack) sourceFor(addr netip.Addr) (netip.Addr, bool) {
	if len(s.cfg.Addresses) == 0 {
		return netip.Addr{}, false
	}
	i := slices.IndexFunc(s.cfg.Addresses, netip.PrefixFrom(addr, 48).Masked().Contains)
	return s.cfg.Addresses[max(i, 0)], true
}

func (p *pings) begin(peer netip.Addr) (id [8]byte, pong chan struct{}) {
	rand.Read(id[:]) // never fails
	pong = make(chan struct{}, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		p.waiting = map[[8]byte]pending{}
	}
	p.waiting[id] = pending{peer, pong}
	return id, pong
}

func (p *pings) end(id [8]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, id)
}

func (p *pings) answer(peer netip.Addr, id [8]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, ok := p.waiting[id]
	if !ok || w.peer != peer {
		return
	}
	delete(p.waiting, id)
	w.pong <- struct{}{}
}

// handleTSMP answers a ping and takes a pong. p is only valid during the call.
func (s *Stack) handleTSMP(p *packet.Parsed) {
	if !slices.Contains(s.cfg.Addresses, p.Dst.Addr()) {
		return
	}
	if ping, ok := p.AsTSMPPing(); ok {
		reply := packet.TSMPPongReply{IPHeader: packet.IP6Header{
			IPProto: ipproto.TSMP, Src: p.Dst.Addr(), Dst: p.Src.Addr(),
		}, Data: ping.Data}
		buf := make([]byte, reply.Len())
		if reply.Marshal(buf) == nil {
			s.injectTSMP(buf)
		}
		return
	}
	if pong, ok := p.AsTSMPPong(); ok {
		s.pings.answer(p.Src.Addr(), pong.Data)
	}
}

func (s *Stack) sendTSMP(src, dst netip.Addr, msg []byte) bool {
	return s.injectTSMP(packet.Generate(packet.IP6Header{IPProto: ipproto.TSMP, Src: src, Dst: dst}, msg))
}

// injectTSMP queues a packet beside the stack's. These are answers to what may
// come at any rate, so that a full queue drops them.
func (s *Stack) injectTSMP(pkt []byte) bool {
	select {
	case s.link.inject <- pkt:
		return true
	default:
		s.count.pingsDropped.Add(1)
		return false
	}
}
