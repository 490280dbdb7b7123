package tailnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"tailscale.com/net/netcheck"
	"tailscale.com/net/stun"
	"tailscale.com/types/nettype"
	"tailscale.com/types/opt"
)

// Measurement says what the network of a node permits. A nil is not known.
type Measurement struct {
	UDP, IPv4, IPv6       bool // a STUN server answered; over that
	MappingVariesByDestIP *bool
	UPnP, PMP, PCP        *bool
	PreferredDERP         int                   // the nearest region; 0 is not known
	RegionLatency         map[int]time.Duration // of regions that answered
}

// Measure asks every relay of the map anew, over sockets of its own: those of the
// node go on as they are. It blocks until there is a map, which SetDERPMap begins
// to apply, and all have answered, for some 5 s at most.
// A node that blocks direct paths sends no UDP for this either.
func (n *Node) Measure(ctx context.Context) (Measurement, error) {
	select {
	case <-n.relays.applied:
	case <-ctx.Done():
		return Measurement{}, fmt.Errorf("measure the network: no relay is known yet: %w", ctx.Err())
	case <-n.done:
		return Measurement{}, fmt.Errorf("measure the network: %w", net.ErrClosed)
	}
	relays := n.relays.upstream.Load()
	client := &netcheck.Client{NetMon: n.network, Logf: n.logf}
	sockets := n.probeSockets(ctx, client)
	defer sockets.close()
	client.SendPacket = sockets.send
	report, err := client.GetReport(ctx, relays, nil)
	if err != nil {
		return Measurement{}, fmt.Errorf("measure the network: %w", err)
	}
	return Measurement{
		UDP: report.UDP, IPv4: report.IPv4, IPv6: report.IPv6,
		MappingVariesByDestIP: known(report.MappingVariesByDestIP), UPnP: known(report.UPnP), PMP: known(report.PMP), PCP: known(report.PCP),
		PreferredDERP: report.PreferredDERP, RegionLatency: report.RegionLatency,
	}, nil
}

func known(b opt.Bool) *bool {
	v, ok := b.Get()
	if !ok {
		return nil
	}
	return &v
}

// probeSockets send the questions of one measurement.
type probeSockets struct {
	v4, v6  nettype.PacketConn // nil: there is none
	reading sync.WaitGroup
}

func (n *Node) probeSockets(ctx context.Context, client *netcheck.Client) *probeSockets {
	s := &probeSockets{}
	if n.cfg.BlockDirect {
		return s
	}
	listener := n.cfg.PacketListener
	if listener == nil {
		listener = nettype.Std{}
	}
	with := nettype.MakePacketListenerWithNetIP(listener)
	for network, socket := range map[string]*nettype.PacketConn{"udp4": &s.v4, "udp6": &s.v6} {
		conn, err := with.ListenPacket(ctx, network, ":0")
		if err != nil {
			n.logf("netcheck: %s: %v", network, err)
			continue
		}
		*socket = conn
		s.reading.Go(func() { readAnswers(conn, client) })
	}
	return s
}

// readAnswers passes STUN's answers on until the socket is closed.
func readAnswers(conn nettype.PacketConn, client *netcheck.Client) {
	buf := make([]byte, 2048)
	for {
		size, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if stun.Is(buf[:size]) {
			client.ReceiveSTUNPacket(buf[:size], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		}
	}
}

var errNoSocket = errors.New("no UDP socket")

func (s *probeSockets) send(packet []byte, to netip.AddrPort) (int, error) {
	conn := s.v4
	if to.Addr().Is6() {
		conn = s.v6
	}
	if conn == nil {
		return 0, errNoSocket
	}
	return conn.WriteToUDPAddrPort(packet, to)
}

func (s *probeSockets) close() {
	for _, conn := range []nettype.PacketConn{s.v4, s.v6} {
		if conn != nil {
			_ = conn.Close()
		}
	}
	s.reading.Wait()
}
