package netstack

import (
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
)

// DialUDP returns a conversation with addr from a port of its own. It does not
// wait for anything.
func (s *Stack) DialUDP(addr netip.AddrPort) (net.Conn, error) {
	remote := fullAddress(addr)
	c, err := gonet.DialUDP(s.stack, nil, &remote, ipv6.ProtocolNumber)
	if err != nil {
		return nil, err
	}
	return c, nil
}
