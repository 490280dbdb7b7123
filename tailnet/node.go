// Package tailnet is one node of a tailnet: a WireGuard device in user space
// whose packets travel by magicsock, directly over UDP or through a DERP relay,
// and which ends in a TCP/IP stack.
//
// A Node keeps these promises:
//
//   - It announces itself as soon as the map names one relay, before anything
//     was measured, so that the first handshake goes through that relay at once.
//   - A connection goes on through sleep, a change of the network and a restart
//     of the relay: sockets are rebound, STUN is asked again and the relay is
//     redialed as soon as one of these is noticed.
//   - It sends to nobody that was not made a peer, and accepts from a peer only
//     the addresses in the peer's checked record.
//   - With Config.BlockDirect it has no UDP socket at all.
//
// Who may be a peer is decided by the coordinator; what runs over the
// connections, by the packages above.
package tailnet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/tailscale/wireguard-go/device"
	"tailscale.com/health"
	"tailscale.com/net/netmon"
	"tailscale.com/net/netns"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/types/nettype"
	"tailscale.com/util/eventbus"
	"tailscale.com/util/usermetric"
	"tailscale.com/wgengine/magicsock"

	"github.com/berthdev/berth/tailnet/derpmap"
	"github.com/berthdev/berth/tailnet/netstack"
	"github.com/berthdev/berth/tailnet/proto"
)

// Config configures a Node.
type Config struct {
	// Addresses are the node's own, /128s of the service's prefixes; at least
	// one. See AddressesFor and RandomAddress.
	Addresses []netip.Prefix

	// DERPMap is the first map; nil waits for SetDERPMap. A map must be as the
	// node shall use it: see derpmap.Map.Via.
	DERPMap *derpmap.Map

	// Self is called with each new record of the node itself, the first one
	// once the node has a home relay. Calls do not overlap. It must not block.
	Self func(*proto.Node)

	// ID is the id in the node's record; 0 picks a random one.
	ID int64

	// BlockDirect sends and accepts through relays only.
	BlockDirect bool

	// ForceWebSockets reaches every relay by WebSocket.
	ForceWebSockets bool

	// Header is sent to relays when they are dialed.
	Header http.Header

	// TLS is how relays are reached by TLS; nil trusts the authorities of the
	// system and shows no certificate.
	TLS *tls.Config

	// ListenPort is the UDP port that is tried first; 0 means any.
	ListenPort uint16

	// PacketListener makes the UDP sockets; nil means those of this machine. One
	// that knows how large packets may be has a method RouteMTU(netip.AddrPort) int.
	PacketListener nettype.PacketListener

	// TCP and UDP take flows that no listener takes; see netstack.Config.
	TCP func(context.Context, netstack.Flow) (func(net.Conn), error)
	UDP func(context.Context, netstack.Flow) (func(net.Conn), error)

	// Logger gets what upstream logs, at debug level; nil discards it.
	Logger *slog.Logger
}

// Node is one node of a tailnet. All methods may be called concurrently.
type Node struct {
	cfg       Config // set by New, never changed
	log       *slog.Logger
	key       key.NodePrivate
	public    key.NodePublic
	stack     *netstack.Stack
	magic     *magicsock.Conn
	wireguard *device.Device
	bind      *bind
	events    *eventbus.Bus
	network   *netmon.Monitor
	self      *selfRecord
	relays    *relays

	rebinds               chan struct{} // 1: rebind
	oneWay                chan *peer    // 16: reach us directly, maybe not we them
	probes                chan *peer    // 64: whose direct path is new
	lastSent              atomic.Int64  // nanoseconds since the Unix epoch
	relayUsed, relayHeard atomic.Bool   // since the watch looked last

	done   chan struct{} // closed by Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	peerWork   sync.Mutex // held while a peer is changed; before mu
	lastNodeID tailcfg.NodeID

	mu     sync.RWMutex // guards below
	byID   map[uuid.UUID]*peer
	byKey  map[device.NoisePublicKey]*peer
	byAddr map[netip.Addr]*peer
	news   chan struct{} // closed, and made anew, when a peer has been set
	closed bool
}

// ownNodeID is the id by which magicsock knows the node itself; those of peers
// follow.
const ownNodeID tailcfg.NodeID = 1

// New starts a node.
func New(cfg Config) (*Node, error) {
	if len(cfg.Addresses) == 0 {
		return nil, errors.New("start node: it has no address")
	}
	// Upstream marks its sockets so that packets of a tunnel of the operating
	// system do not enter it. We have no such tunnel, and the mark makes the
	// sockets leave the routes that the user set.
	netns.SetEnabled(false)
	n := &Node{
		cfg: cfg, log: cfg.Logger, key: key.NewNode(), lastNodeID: ownNodeID,
		rebinds: make(chan struct{}, 1), oneWay: make(chan *peer, 16), probes: make(chan *peer, 64), done: make(chan struct{}),
		byID: map[uuid.UUID]*peer{}, byKey: map[device.NoisePublicKey]*peer{}, byAddr: map[netip.Addr]*peer{}, news: make(chan struct{}),
	}
	n.public = n.key.Public()
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if err := n.start(); err != nil {
		n.Close()
		return nil, fmt.Errorf("start node: %w", err)
	}
	return n, nil
}

func (n *Node) start() error {
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	n.self = newSelfRecord(n.cfg, n.public)
	if err := n.startStack(); err != nil {
		return err
	}
	metrics := new(usermetric.Registry)
	if err := n.startMagic(metrics); err != nil {
		return err
	}
	n.bind = &bind{Bind: n.magic.Bind(), node: n, queue: newRelayQueue(func() int64 { return relayed(metrics) })}
	n.magic.SetConnectionCounter(n.sentVia)
	if err := n.startWireGuard(); err != nil {
		return err
	}
	n.relays = newRelays(n)
	n.self.setDisco(n.magic.DiscoPublicKey())
	n.tasks.Go(func() { n.self.run(ctx) })
	n.tasks.Go(func() { n.watch(ctx) })
	n.tasks.Go(func() { n.probeWidths(ctx) })
	n.network.Start()
	if n.cfg.DERPMap == nil {
		return nil
	}
	return n.SetDERPMap(n.cfg.DERPMap)
}

func (n *Node) startStack() (err error) {
	own := make([]netip.Addr, len(n.cfg.Addresses))
	for i, p := range n.cfg.Addresses {
		own[i] = p.Addr()
	}
	n.stack, err = netstack.New(netstack.Config{Addresses: own, TCP: n.cfg.TCP, UDP: n.cfg.UDP})
	return err
}

func (n *Node) startMagic(metrics *usermetric.Registry) (err error) {
	n.events = eventbus.NewWithOptions(eventbus.BusOptions{Logf: n.logf})
	if n.network, err = netmon.New(n.events, n.logf); err != nil {
		return fmt.Errorf("watch the network: %w", err)
	}
	listener := n.cfg.PacketListener
	if n.cfg.BlockDirect {
		listener = noUDP{}
	}
	options := magicsock.Options{
		EventBus: n.events, NetMon: n.network, Metrics: metrics, Logf: n.logf,
		HealthTracker: health.NewTracker(n.events), // without one, upstream prints stacks to stderr where $CI is set
		Port:          n.cfg.ListenPort, TestOnlyPacketListener: listener, DisablePortMapper: true,
		EndpointsFunc: n.endpointsChanged, OnDERPRecv: n.relayReceived, IdleFunc: n.idle,
	}
	n.magic, err = magicsock.NewConn(options)
	if err != nil && !n.cfg.BlockDirect { // a sandbox, or too many files are open
		n.log.Warn("no UDP socket to be had, everything goes through the relay until the network changes", "err", err)
		if listener == nil {
			listener = nettype.Std{}
		}
		options.TestOnlyPacketListener = udpIfAny{listener}
		n.magic, err = magicsock.NewConn(options)
	}
	if err != nil {
		return err
	}
	n.magic.SetNetInfoCallback(n.netInfoChanged)
	return nil
}

func (n *Node) startWireGuard() error {
	log := &device.Logger{Verbosef: device.DiscardLogf, Errorf: n.logf}
	n.wireguard = device.NewDevice(n.stack.Device(), n.bind, log)
	n.wireguard.SetPeerLookupFunc(n.lookupPeer)
	n.wireguard.SetPeerByIPPacketFunc(n.peerForPacket)
	n.wireguard.SetSessionStateFunc(n.sessionChanged)
	if err := n.wireguard.SetPrivateKey(device.NoisePrivateKey(key.NodePrivateAs[device.NoisePrivateKey](n.key))); err != nil {
		return err
	}
	if err := n.wireguard.Up(); err != nil {
		return err
	}
	if err := n.magic.SetPrivateKey(n.key); err != nil {
		return err
	}
	n.magic.SetNetworkMap((&tailcfg.Node{
		ID: ownNodeID, Key: n.public, DiscoKey: n.magic.DiscoPublicKey(), Addresses: n.cfg.Addresses,
	}).View(), nil)
	return nil
}

// Close ends the node and all that it started, connections included. It waits
// up to 100 ms for the end of the connections to be sent.
func (n *Node) Close() error {
	n.mu.Lock()
	again := n.closed
	n.closed = true
	n.mu.Unlock()
	if again {
		return nil
	}
	// What looks after sockets and relays first: sockets that it made anew while
	// WireGuard closes, as that does by itself when the stack is gone, would never
	// be closed. Then connections, while packets still go; then from the top to
	// the bottom.
	close(n.done)
	n.cancel()
	n.tasks.Wait()
	if n.stack != nil {
		n.stack.Close()
	}
	if n.bind != nil {
		close(n.bind.queue.closed)
	}
	if n.wireguard != nil {
		n.wireguard.Close()
	}
	if n.magic != nil {
		n.magic.Close()
	}
	if n.relays != nil {
		n.relays.close()
	}
	if n.network != nil {
		n.network.Close()
	}
	if n.events != nil {
		n.events.Close()
	}
	return nil
}

// DialTCP connects to a peer. It does not make the peer known: without a record
// it waits until ctx ends.
func (n *Node) DialTCP(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	return n.stack.DialTCP(ctx, addr)
}

// DialUDP returns a UDP conversation with a peer.
func (n *Node) DialUDP(_ context.Context, addr netip.AddrPort) (net.Conn, error) {
	return n.stack.DialUDP(addr)
}

// ListenTCP listens on a port of all addresses of the node; 0 picks one.
func (n *Node) ListenTCP(port uint16) (net.Listener, error) {
	l, err := n.stack.ListenTCP(port)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// routeMTU returns the largest IP packet that the route to an address is known to
// carry, 0 if it is not known.
func (n *Node) routeMTU(to netip.AddrPort) int {
	if n.cfg.PacketListener == nil {
		return routeMTU(to)
	}
	if l, ok := n.cfg.PacketListener.(interface{ RouteMTU(netip.AddrPort) int }); ok {
		return l.RouteMTU(to)
	}
	return 0
}

// idle is asked by magicsock before it asks STUN anew, every 25 s: it does not
// if nothing was sent for 45 s. Without UDP there is nothing to ask for, and the
// relay would be measured by a TLS handshake instead.
func (n *Node) idle() time.Duration {
	if n.cfg.BlockDirect {
		return math.MaxInt64
	}
	return time.Since(time.Unix(0, n.lastSent.Load()))
}

// logf passes on what upstream logs. It shortens keys itself.
func (n *Node) logf(format string, args ...any) {
	if n.log.Enabled(context.Background(), slog.LevelDebug) {
		n.log.Debug("upstream", "text", fmt.Sprintf(format, args...))
	}
}
