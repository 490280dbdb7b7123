package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
)

// listeners are the sockets of a server, all open or none.
type listeners struct {
	http     net.Listener
	relay    net.Listener   // nil: none of its own
	stun     net.PacketConn // on the port of relay
	relayTCP netip.AddrPort
}

// listen opens the sockets. An error names the address that is not to be had.
func listen(httpAddress, relayAddress string) (l listeners, err error) {
	if l.http, err = net.Listen("tcp", httpAddress); err != nil {
		return l, fmt.Errorf("http address: %w", err)
	}
	if relayAddress == "" {
		return l, nil
	}
	if l.relay, l.stun, err = listenRelay(relayAddress); err != nil {
		return l, errors.Join(fmt.Errorf("relay address: %w", err), l.close())
	}
	l.relayTCP = addrPort(l.relay.Addr())
	return l, nil
}

// maxPorts bounds the free ports that are tried for one that is free for UDP
// too.
const maxPorts = 100

// listenRelay listens on one port for TCP and UDP. Port 0 is any that is free
// for both.
func listenRelay(address string) (tcp net.Listener, udp net.PacketConn, err error) {
	_, port, _ := net.SplitHostPort(address)
	for try := 1; ; try++ {
		if tcp, err = net.Listen("tcp", address); err != nil {
			return nil, nil, err
		}
		if udp, err = net.ListenPacket("udp", tcp.Addr().String()); err == nil {
			return tcp, udp, nil
		}
		tcp.Close()
		if port != "0" || try == maxPorts {
			return nil, nil, err
		}
	}
}

// stunPort is the port of STUN, or 0.
func (l listeners) stunPort() int { return int(l.relayTCP.Port()) }

// own is how this process reaches its main listener: a proxy in front of it,
// or the name of the access URL, may not be there for who is inside.
func (l listeners) own() *url.URL {
	at := addrPort(l.http.Addr())
	if at.Addr().IsUnspecified() {
		loopback := netip.IPv6Loopback()
		if at.Addr().Is4() {
			loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		at = netip.AddrPortFrom(loopback, at.Port())
	}
	return &url.URL{Scheme: "http", Host: at.String()}
}

func (l listeners) close() error {
	err := l.http.Close()
	if l.relay != nil {
		err = errors.Join(err, l.relay.Close())
	}
	if l.stun != nil {
		err = errors.Join(err, l.stun.Close())
	}
	return err
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, isTCP := a.(*net.TCPAddr)
	if !isTCP {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
