package netstack

import (
	"context"
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// handleFlows hands what no listener takes to Config.TCP and Config.UDP.
func (s *Stack) handleFlows(ctx context.Context) {
	if s.cfg.TCP != nil {
		f := tcp.NewForwarder(s.stack, 0, cap(s.flows), func(r *tcp.ForwarderRequest) { s.acceptTCP(ctx, r) })
		s.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, f.HandlePacket)
	}
	if s.cfg.UDP != nil {
		f := udp.NewForwarder(s.stack, func(r *udp.ForwarderRequest) bool { return s.acceptUDP(ctx, r) })
		s.stack.SetTransportProtocolHandler(udp.ProtocolNumber, f.HandlePacket)
	}
}

// admit takes a place among the served flows. The caller must call leave.
func (s *Stack) admit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	select {
	case s.flows <- struct{}{}:
		s.served.Add(1)
		return true
	default:
		s.count.flowsRefused.Add(1)
		return false
	}
}

func (s *Stack) leave() {
	<-s.flows
	s.served.Done()
}

// acceptTCP runs in a goroutine of its own for each SYN.
func (s *Stack) acceptTCP(ctx context.Context, r *tcp.ForwarderRequest) {
	if !s.admit() {
		r.Complete(true)
		return
	}
	defer s.leave()
	serve, err := s.cfg.TCP(ctx, flowOf(r.ID()))
	if err != nil {
		r.Complete(true)
		return
	}
	wq := new(waiter.Queue)
	ep, terr := r.CreateEndpoint(wq)
	r.Complete(terr != nil)
	if terr != nil {
		serve(refusedConn())
		return
	}
	setKeepalive(ep)
	serve(gonet.NewTCPConn(wq, ep))
}

// refusedConn lets serve release what it holds when the peer went away before
// its connection was complete.
func refusedConn() net.Conn {
	a, b := net.Pipe()
	a.Close()
	return b
}

// acceptUDP is called by the stack for a datagram without a conversation and
// must not block.
func (s *Stack) acceptUDP(ctx context.Context, r *udp.ForwarderRequest) bool {
	if !s.admit() {
		return true // dropped and counted; the peer may try again
	}
	wq := new(waiter.Queue)
	ep, terr := r.CreateEndpoint(wq)
	if terr != nil {
		s.leave()
		return false
	}
	go func() {
		defer s.leave()
		s.serveUDP(ctx, flowOf(r.ID()), wq, ep)
	}()
	return true
}

func (s *Stack) serveUDP(ctx context.Context, f Flow, wq *waiter.Queue, ep tcpip.Endpoint) {
	c := gonet.NewUDPConn(wq, ep)
	serve, err := s.cfg.UDP(ctx, f)
	if err != nil {
		c.Close()
		return
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	serve(c)
}

func flowOf(id stack.TransportEndpointID) Flow {
	return Flow{
		Source:      netip.AddrPortFrom(netip.AddrFrom16(id.RemoteAddress.As16()), id.RemotePort),
		Destination: netip.AddrPortFrom(netip.AddrFrom16(id.LocalAddress.As16()), id.LocalPort),
	}
}
