package netlab

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"tailscale.com/net/stun"
	"tailscale.com/tstest/natlab"
	"tailscale.com/types/nettype"
)

// Memory is an internet in memory: hosts on it or behind NATs exchange UDP
// packets in order and without latency. It needs no privileges. A host is a
// nettype.PacketListener, from which a node makes its sockets.
type Memory struct {
	internet *natlab.Network

	mu   sync.Mutex // guards below
	lans int
}

// MemoryNAT is how a NAT in memory maps and filters.
type MemoryNAT int

const (
	// MemoryEasyNAT maps a socket to one public port and lets in who was sent
	// to: most homes.
	MemoryEasyNAT MemoryNAT = iota

	// MemoryHardNAT maps a socket to another port for each destination: many
	// offices and phones. Two hosts behind such NATs cannot reach each other.
	MemoryHardNAT
)

// NewMemory returns an internet without hosts.
func NewMemory() *Memory { return &Memory{internet: natlab.NewInternet()} }

// Host adds a host with a public address. Everybody can reach it.
func (m *Memory) Host(name string) (nettype.PacketListener, netip.Addr) {
	h := &natlab.Machine{Name: name}
	return h, h.Attach("eth0", m.internet).V4()
}

// HostBehind adds a host in a network of its own behind a NAT.
func (m *Memory) HostBehind(nat MemoryNAT, name string) nettype.PacketListener {
	m.mu.Lock()
	m.lans++
	lan := &natlab.Network{Name: name + "-lan", Prefix4: netip.MustParsePrefix(fmt.Sprintf("192.168.%d.0/24", m.lans))}
	m.mu.Unlock()
	router := &natlab.Machine{Name: name + "-nat"}
	wan, inner := router.Attach("wan", m.internet), router.Attach("lan", lan)
	mapping := natlab.EndpointIndependentNAT
	if nat == MemoryHardNAT {
		mapping = natlab.AddressAndPortDependentNAT
	}
	router.PacketHandler = &natlab.SNAT44{
		Machine: router, ExternalInterface: wan, Type: mapping,
		Firewall: &natlab.Firewall{TrustedInterface: inner},
	}
	lan.SetDefaultGateway(inner)
	h := &natlab.Machine{Name: name}
	h.Attach("eth0", lan)
	return h
}

// STUN adds a host that answers STUN until ctx ends. wait returns when it has
// stopped.
func (m *Memory) STUN(ctx context.Context) (at netip.AddrPort, wait func(), err error) {
	h, ip := m.Host("stun")
	at = netip.AddrPortFrom(ip, 3478)
	pc, err := h.ListenPacket(ctx, "udp4", fmt.Sprintf("0.0.0.0:%d", at.Port()))
	if err != nil {
		return at, nil, err
	}
	var tasks sync.WaitGroup
	stop := context.AfterFunc(ctx, func() { pc.Close() })
	tasks.Go(func() {
		defer stop()
		answerSTUN(pc.(nettype.PacketConn))
	})
	return at, tasks.Wait, nil
}

func answerSTUN(pc nettype.PacketConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := pc.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if id, err := stun.ParseBindingRequest(buf[:n]); err == nil {
			// A reply that is lost is asked for again.
			_, _ = pc.WriteToUDPAddrPort(stun.Response(id, from), from)
		}
	}
}
