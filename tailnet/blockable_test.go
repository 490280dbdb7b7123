package tailnet

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
)

// blockable makes UDP sockets of this machine that lose everything while they
// are blocked.
type blockable struct {
	blocked atomic.Bool
	lost    atomic.Int64
}

func (b *blockable) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	var lc net.ListenConfig
	c, err := lc.ListenPacket(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &blockableConn{UDPConn: c.(*net.UDPConn), b: b}, nil
}

type blockableConn struct {
	*net.UDPConn
	b *blockable
}

func (c *blockableConn) WriteToUDPAddrPort(p []byte, to netip.AddrPort) (int, error) {
	if c.b.blocked.Load() {
		c.b.lost.Add(1)
		return len(p), nil
	}
	return c.UDPConn.WriteToUDPAddrPort(p, to)
}

func (c *blockableConn) WriteTo(p []byte, to net.Addr) (int, error) {
	return c.WriteToUDPAddrPort(p, to.(*net.UDPAddr).AddrPort())
}

func (c *blockableConn) ReadFromUDPAddrPort(p []byte) (int, netip.AddrPort, error) {
	for {
		n, from, err := c.UDPConn.ReadFromUDPAddrPort(p)
		if err != nil || !c.b.blocked.Load() {
			return n, from, err
		}
	}
}

func (c *blockableConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromUDPAddrPort(p)
	return n, net.UDPAddrFromAddrPort(from), err
}
