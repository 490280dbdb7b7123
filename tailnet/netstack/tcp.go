package netstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// backlog is the number of connections that may wait for Accept, per listener.
const backlog = 1024

// DialTCP connects to addr. The connection outlives outages of up to
// giveUpAfter; it has a CloseWrite method. A port where nobody listens is
// ErrRefused; a peer that went away meanwhile (Abort), ErrAborted.
func (s *Stack) DialTCP(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	wq := new(waiter.Queue)
	ep, terr := s.stack.NewEndpoint(tcp.ProtocolNumber, ipv6.ProtocolNumber, wq)
	if terr != nil {
		return nil, fmt.Errorf("connect to %v: %v", addr, terr)
	}
	setKeepalive(ep)
	entry, writable := waiter.NewChannelEntry(waiter.WritableEvents)
	wq.EventRegister(&entry)
	defer wq.EventUnregister(&entry)

	terr = ep.Connect(fullAddress(addr))
	if _, started := terr.(*tcpip.ErrConnectStarted); started {
		select {
		case <-ctx.Done():
			ep.Close()
			return nil, fmt.Errorf("connect to %v: %w", addr, ctx.Err())
		case <-s.done:
			ep.Close()
			return nil, fmt.Errorf("connect to %v: %w", addr, net.ErrClosed)
		case <-writable:
		}
		terr = ep.LastError()
	}
	if terr != nil {
		ep.Close()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: s.dialError(terr)}
	}
	return gonet.NewTCPConn(wq, ep), nil
}

// setKeepalive makes ep give up after giveUpAfter, and not before.
func setKeepalive(ep tcpip.Endpoint) {
	idle := tcpip.KeepaliveIdleOption(keepaliveEvery)
	every := tcpip.KeepaliveIntervalOption(keepaliveEvery)
	giveUp := tcpip.TCPUserTimeoutOption(giveUpAfter)
	ep.SocketOptions().SetKeepAlive(true)
	// These three cannot fail for a TCP endpoint.
	_ = ep.SetSockOpt(&idle)
	_ = ep.SetSockOpt(&every)
	_ = ep.SetSockOpt(&giveUp)
	_ = ep.SetSockOptInt(tcpip.KeepaliveCountOption, int(giveUpAfter/keepaliveEvery))
}

func fullAddress(a netip.AddrPort) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: nicID, Addr: tcpip.AddrFrom16(a.Addr().As16()), Port: a.Port()}
}

// A Listener accepts TCP connections at all addresses of its stack.
type Listener struct {
	ep     tcpip.Endpoint
	wq     *waiter.Queue
	port   uint16
	addr   netip.Addr
	closed chan struct{}
	once   sync.Once
}

// ListenTCP listens on port; 0 picks a free one.
func (s *Stack) ListenTCP(port uint16) (*Listener, error) {
	wq := new(waiter.Queue)
	ep, terr := s.stack.NewEndpoint(tcp.ProtocolNumber, ipv6.ProtocolNumber, wq)
	if terr != nil {
		return nil, fmt.Errorf("listen on port %d: %v", port, terr)
	}
	if terr = ep.Bind(tcpip.FullAddress{NIC: nicID, Port: port}); terr == nil {
		terr = ep.Listen(backlog)
	}
	local, lerr := ep.GetLocalAddress()
	if terr == nil {
		terr = lerr
	}
	if terr != nil {
		ep.Close()
		return nil, fmt.Errorf("listen on port %d: %w", port, goError(terr))
	}
	l := &Listener{ep: ep, wq: wq, port: local.Port, addr: netip.IPv6Unspecified(), closed: make(chan struct{})}
	if len(s.cfg.Addresses) > 0 {
		l.addr = s.cfg.Addresses[0]
	}
	return l, nil
}

// Accept waits for a connection. After Close it returns an error that is
// net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	entry, readable := waiter.NewChannelEntry(waiter.ReadableEvents)
	l.wq.EventRegister(&entry)
	defer l.wq.EventUnregister(&entry)
	for {
		select {
		case <-l.closed:
			return nil, l.acceptError(net.ErrClosed)
		default:
		}
		ep, wq, terr := l.ep.Accept(nil)
		if terr == nil {
			setKeepalive(ep)
			return gonet.NewTCPConn(wq, ep), nil
		}
		if _, block := terr.(*tcpip.ErrWouldBlock); !block {
			return nil, l.acceptError(goError(terr))
		}
		select {
		case <-readable:
		case <-l.closed:
		}
	}
}

func (l *Listener) acceptError(err error) error {
	return &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: err}
}

// Close stops listening. Connections that were accepted live on.
func (l *Listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.ep.Close()
	})
	return nil
}

// Addr returns the first address of the stack and the port.
func (l *Listener) Addr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(l.addr, l.port))
}

// goError gives the errors that callers branch on the names they have elsewhere.
// dialError is what a dial failed with; a stack that was closed meanwhile fails
// in many ways.
func (s *Stack) dialError(terr tcpip.Error) error {
	select {
	case <-s.done:
		return net.ErrClosed
	default:
	}
	if _, aborted := terr.(*tcpip.ErrAborted); aborted {
		return ErrAborted
	}
	return goError(terr)
}

// ErrAborted ends a dial to a peer that went away; it may come back.
var ErrAborted = errors.New("the peer went away")

func goError(terr tcpip.Error) error {
	switch terr.(type) {
	case *tcpip.ErrConnectionRefused:
		return ErrRefused
	case *tcpip.ErrPortInUse:
		return errInUse
	case *tcpip.ErrInvalidEndpointState, *tcpip.ErrClosedForReceive, *tcpip.ErrAborted:
		return net.ErrClosed
	}
	return errors.New(terr.String())
}
