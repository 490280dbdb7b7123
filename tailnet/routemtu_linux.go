package tailnet

import (
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// routeMTU returns the largest IP packet that the kernel knows the route to an
// address to carry, 0 if it does not know. It knows the MTU of the first link and
// what routers have answered since to packets that were too large: UDP packets up to
// this size forbid fragmentation, unless the system does not look for the MTU of
// paths at all (net.ipv4.ip_no_pmtu_disc); larger ones are sent in fragments.
func routeMTU(to netip.AddrPort) int {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to)) // sends nothing
	if err != nil {
		return 0
	}
	defer c.Close()
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	level, discovery, size := unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_MTU
	if to.Addr().Unmap().Is6() {
		level, discovery, size = unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_MTU
	}
	mtu := 0
	err = raw.Control(func(fd uintptr) {
		if how, err := unix.GetsockoptInt(int(fd), level, discovery); err != nil || how == unix.IP_PMTUDISC_DONT {
			return
		}
		if m, err := unix.GetsockoptInt(int(fd), level, size); err == nil {
			mtu = m
		}
	})
	if err != nil {
		return 0
	}
	return mtu
}
