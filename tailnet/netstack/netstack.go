// Package netstack is a TCP/IP stack in user space whose link is a WireGuard
// device: it gives net.Conn and net.Listener above and is a tun.Device below.
//
// It keeps three promises to the node that joins it to WireGuard:
//
//   - Nothing is dropped inside the process. A full queue makes the writer wait;
//     what has no peer to go to is counted.
//   - WireGuard holds at most Config.InFlight packets per direction. It keeps
//     64 KiB for each packet and bounds nothing itself. See gate.
//   - A packet is as big as its way can carry. The stack always counts in
//     segments for a 1280-byte link, so that its congestion control is right
//     anywhere; on the way out they are cut at the peer's present limit: what is
//     known of a direct path, 1280 bytes at first, and up to RelayMTU on a relayed
//     one, where a packet is a frame in a TCP stream. Each packet is cut for
//     itself, a repeated one too, so that a change of the path needs no agreement
//     with anybody. What a peer accepts is what
//     it announces as MSS: our own SYNs announce RelayMTU, other
//     implementations announce 1220 and never see more.
//
// Only IPv6 is spoken. Who the peers are, which path they have and whether they
// may be talked to is the duty of package tailnet.
package netstack

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tailscale/wireguard-go/device"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

const (
	// DirectMTU is the largest packet that every direct path carries: the
	// least MTU of IPv6, and what other implementations use in the tunnel.
	DirectMTU = 1280

	// RelayMTU is the largest packet sent at all. Larger ones gain
	// nothing more (1.25 Gbit/s at 32000, 1.29 at 60000) and the frame with
	// its WireGuard header must stay under the relay's 64 KiB. WireGuard's
	// buffers are smaller on Windows (2 KB): it would drop what does not fit.
	RelayMTU = min(largestPacket, device.MaxContentSize)

	largestPacket = 32000

	// defaultInFlight is the bound on packets inside WireGuard, per direction:
	// the smallest that does not cost throughput.
	defaultInFlight = 128

	// defaultFlows bounds the flows served by Config.TCP and Config.UDP.
	defaultFlows = 4096

	// maxRTO caps the retransmission time-out, so that a connection goes on
	// within a second after an outage of any length.
	maxRTO = time.Second

	// giveUpAfter ends a connection whose peer has acknowledged nothing for so
	// long: a laptop closed over a long weekend still finds its session.
	giveUpAfter = 72 * time.Hour

	// keepaliveEvery is the period of TCP keepalives on an idle connection; it
	// only finds peers that are gone for good, after giveUpAfter.
	keepaliveEvery = time.Hour

	nicID = 1
)

// A Flow is the addresses of a TCP connection or of a UDP conversation that a
// peer began.
type Flow struct {
	Source, Destination netip.AddrPort
}

// Config configures a Stack. The zero value has no address and refuses every
// flow that no listener takes.
type Config struct {
	// Addresses are the stack's own. All are IPv6.
	Addresses []netip.Addr

	// TCP decides on a connection that no listener takes, before its SYN is
	// answered: an error refuses it (RST), else serve is called with the
	// connection and owns it. ctx ends when the stack is closed. It is called
	// concurrently and may block. nil refuses all.
	TCP func(ctx context.Context, f Flow) (serve func(net.Conn), err error)

	// UDP is the same for the first datagram of a conversation.
	UDP func(ctx context.Context, f Flow) (serve func(net.Conn), err error)

	// Flows bounds the flows handed to TCP and UDP at one time; more are
	// refused and counted. 0 means 4096.
	Flows int

	// InFlight bounds the packets inside WireGuard per direction; 0 means 128.
	InFlight int
}

// Stack is a TCP/IP stack and, by its method Device, a tun.Device.
type Stack struct {
	cfg    Config
	stack  *stack.Stack
	link   *link
	out    *gate              // packets between Device.Read and Peer.Sent
	in     *gate              // packets between Peer.Received and Device.Write
	done   chan struct{}      // closed by Close
	cancel context.CancelFunc // ends the context of the flows
	flows  chan struct{}      // one element for each flow that is served
	served sync.WaitGroup
	pings  pings
	count  counters

	mu     sync.RWMutex // guards below
	peers  map[netip.Addr]*Peer
	closed bool
}

type counters struct {
	noPeer, malformed, pingsDropped, flowsRefused atomic.Uint64
}

// Counters tell what the stack did not deliver, since New.
type Counters struct {
	NoPeer       uint64 // packets to an address that no peer has
	Malformed    uint64 // packets that could not be read
	PingsDropped uint64 // TSMP messages for which the queue was full
	FlowsRefused uint64 // flows beyond Config.Flows
	StackDropped uint64 // packets dropped by TCP or UDP for a full queue
	GateReopened uint64 // times that the count of packets inside WireGuard was found wrong
}

// New returns a stack that waits for its Device to be used.
func New(cfg Config) (*Stack, error) {
	if cfg.Flows == 0 {
		cfg.Flows = defaultFlows
	}
	if cfg.InFlight == 0 {
		cfg.InFlight = defaultInFlight
	}
	s := &Stack{
		cfg:   cfg,
		link:  newLink(),
		out:   newGate(cfg.InFlight),
		in:    newGate(cfg.InFlight),
		done:  make(chan struct{}),
		flows: make(chan struct{}, cfg.Flows),
		peers: map[netip.Addr]*Peer{},
		stack: stack.New(stack.Options{
			NetworkProtocols:   []stack.NetworkProtocolFactory{ipv6.NewProtocol},
			TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol6},
		}),
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	if err := s.configure(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Stack) configure(ctx context.Context) error {
	if err := setTCPOptions(s.stack); err != nil {
		return err
	}
	if err := s.stack.CreateNIC(nicID, s.link); err != nil {
		return fmt.Errorf("create interface: %v", err)
	}
	for _, a := range s.cfg.Addresses {
		if !a.Is6() || a.Is4In6() {
			return fmt.Errorf("own address %v is not IPv6", a)
		}
		pa := tcpip.ProtocolAddress{Protocol: ipv6.ProtocolNumber, AddressWithPrefix: tcpip.AddrFrom16(a.As16()).WithPrefix()}
		if err := s.stack.AddProtocolAddress(nicID, pa, stack.AddressProperties{}); err != nil {
			return fmt.Errorf("add address %v: %v", a, err)
		}
	}
	s.stack.SetRouteTable([]tcpip.Route{{Destination: header.IPv6EmptySubnet, NIC: nicID}})
	s.handleFlows(ctx)
	return nil
}

// setTCPOptions: SACK on and RACK off, because RACK takes the reordering of a
// batched link for loss; Reno, which at these round trips is as good as Cubic
// and cheaper; buffers for 1 Gbit/s at 60 ms.
func setTCPOptions(s *stack.Stack) error {
	sack := tcpip.TCPSACKEnabled(true)
	recovery := tcpip.TCPRecovery(0)
	control := tcpip.CongestionControlOption("reno")
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: tcp.DefaultReceiveBufferSize, Max: 8 << 20}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: tcp.DefaultSendBufferSize, Max: 6 << 20}
	rto := tcpip.TCPMaxRTOOption(maxRTO)
	probes := tcpip.TCPMaxRetriesOption(giveUpAfter / maxRTO)
	options := []tcpip.SettableTransportProtocolOption{&sack, &recovery, &control, &receive, &send, &rto, &probes}
	for _, o := range options {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return fmt.Errorf("set TCP option %T: %v", o, err)
		}
	}
	return nil
}

// Counters returns the present counts.
func (s *Stack) Counters() Counters {
	return Counters{
		NoPeer:       s.count.noPeer.Load(),
		Malformed:    s.count.malformed.Load(),
		PingsDropped: s.count.pingsDropped.Load(),
		FlowsRefused: s.count.flowsRefused.Load(),
		StackDropped: s.stack.Stats().DroppedPackets.Value(),
		GateReopened: s.out.reopenedCount() + s.in.reopenedCount(),
	}
}

// Talking lists the remote addresses with an open TCP connection.
func (s *Stack) Talking() []netip.Addr {
	seen := map[netip.Addr]bool{}
	var out []netip.Addr
	for _, e := range s.stack.RegisteredEndpoints() {
		ep, ok := e.(*tcp.Endpoint)
		if !ok || ep.EndpointState() != tcp.StateEstablished {
			continue
		}
		if a := remote(ep); a.IsValid() && !seen[a] {
			seen[a] = true
			out = append(out, a)
		}
	}
	return out
}

// Abort resets the TCP connections with the given remote addresses.
func (s *Stack) Abort(addresses ...netip.Addr) {
	for _, e := range s.stack.RegisteredEndpoints() {
		if ep, ok := e.(*tcp.Endpoint); ok && slices.Contains(addresses, remote(ep)) {
			ep.Abort()
		}
	}
}

// remote returns whom ep is connected to; a listener, to nobody.
func remote(ep *tcp.Endpoint) netip.Addr {
	info, ok := ep.Info().(*stack.TransportEndpointInfo)
	if !ok || info.ID.RemoteAddress.Len() != 16 {
		return netip.Addr{}
	}
	return netip.AddrFrom16(info.ID.RemoteAddress.As16())
}

// drainTime bounds how long Close lets the last packets (the end of a
// connection that was just closed) go out.
const drainTime = 100 * time.Millisecond

// drain waits until all packets have left WireGuard.
func (s *Stack) drain() {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(drainTime); time.Now().Before(end); <-tick.C {
		if len(s.link.queue) == 0 && s.out.count() == 0 {
			return
		}
	}
}

// Close resets every connection that is still open and waits for all that
// serves them. It is to be called while the Device still works, so that the
// peers learn of it.
func (s *Stack) Close() error {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	if again {
		return nil
	}
	s.cancel()
	close(s.done)
	s.stack.Close()
	s.served.Wait()
	s.drain()
	s.link.close()
	s.out.close()
	s.in.close()
	s.stack.Wait()
	return nil
}
