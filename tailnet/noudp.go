package tailnet

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"tailscale.com/types/nettype"
)

// noUDP makes sockets that lose what is written and receive nothing: a node
// that must not be reached directly has no others. So no message of a peer,
// nor of a relay, can lead it to a direct path.
type noUDP struct{}

func (noUDP) ListenPacket(context.Context, string, string) (net.PacketConn, error) {
	return &deadSocket{closed: make(chan struct{})}, nil
}

// udpIfAny makes sockets of a system that had none to give: one that it still
// refuses is dead. Whoever binds anew tries again.
type udpIfAny struct{ nettype.PacketListener }

// ListenPacket takes any port: that of a dead socket means nothing.
func (u udpIfAny) ListenPacket(ctx context.Context, network, _ string) (net.PacketConn, error) {
	if c, err := u.PacketListener.ListenPacket(ctx, network, ":0"); err == nil {
		return c, nil
	}
	return noUDP{}.ListenPacket(ctx, network, "")
}

type deadSocket struct {
	once   sync.Once
	closed chan struct{}
}

func (s *deadSocket) ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error) {
	<-s.closed
	return 0, netip.AddrPort{}, net.ErrClosed
}

func (s *deadSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	n, _, err := s.ReadFromUDPAddrPort(b)
	return n, nil, err
}

func (s *deadSocket) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) { return len(b), nil }

func (s *deadSocket) WriteTo(b []byte, _ net.Addr) (int, error) { return len(b), nil }

func (s *deadSocket) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// LocalAddr is what peers are told: their own loopback, port discard.
func (s *deadSocket) LocalAddr() net.Addr              { return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9} }
func (s *deadSocket) SetDeadline(time.Time) error      { return nil }
func (s *deadSocket) SetReadDeadline(time.Time) error  { return nil }
func (s *deadSocket) SetWriteDeadline(time.Time) error { return nil }
