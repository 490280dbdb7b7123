package tailnet

import (
	"context"
	"maps"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/types/key"

	"github.com/berthdev/berth/tailnet/derpmap"
)

// resolveTimeout bounds the look-up of a relay's name.
const resolveTimeout = 3 * time.Second

// relays keeps the node's map of relays: how each is reached, which is home,
// and whether that one lives. What it decides, it does in the node's watch, so
// that nothing here runs concurrently but the methods below mu.
type relays struct {
	node  *Node
	plans map[relayID]relayPlan
	live  liveness

	bridges map[relayID]*bridge

	connected atomic.Bool                     // something came from the home relay since it was dialed
	upstream  atomic.Pointer[tailcfg.DERPMap] // what magicsock was given last

	mu      sync.Mutex // guards below
	given   *derpmap.Map
	fresh   bool // given was not applied yet
	home    int
	changed chan struct{} // 1: given is fresh
	applied chan struct{} // closed when upstream is set for the first time
	echoes  chan struct{} // 1: something was heard from the home relay
}

func newRelays(n *Node) *relays {
	return &relays{
		node: n, plans: map[relayID]relayPlan{}, bridges: map[relayID]*bridge{},
		changed: make(chan struct{}, 1), echoes: make(chan struct{}, 1), applied: make(chan struct{}),
	}
}

// SetDERPMap replaces the map of relays. It returns an error, and changes
// nothing, if the map has no relay or is not sound. The same map again, which a
// server sends when it is back, makes the node redial a home relay that does not
// answer.
func (n *Node) SetDERPMap(m *derpmap.Map) error {
	if err := m.Check(); err != nil {
		return err
	}
	r := n.relays
	r.mu.Lock()
	if !reflect.DeepEqual(r.given, m) {
		r.given, r.fresh = m.Clone(), true
	}
	r.mu.Unlock()
	notify(r.changed)
	return nil
}

// current is the map that was given last; it never changes.
func (r *relays) current() *derpmap.Map {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.given
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Home returns the node's home region; 0 if it has none yet.
func (n *Node) Home() int {
	n.relays.mu.Lock()
	defer n.relays.mu.Unlock()
	return n.relays.home
}

// RelayConnected reports whether packets of the node have come back through its
// home relay, as it is reached now.
func (n *Node) RelayConnected() bool { return n.relays.connected.Load() }

// take returns the map and whether it is new.
func (r *relays) take() (m *derpmap.Map, fresh bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, fresh = r.given, r.fresh
	r.fresh = false
	return m, fresh
}

// renew applies a map that is new. It keeps what is known of the relays when it
// is not; then the server is back and its relay with it, which upstream would
// notice only after its pause of up to 7.5 s.
func (r *relays) renew(ctx context.Context) {
	r.mu.Lock()
	fresh := r.fresh
	r.mu.Unlock()
	switch {
	case fresh:
		r.apply(ctx)
	case r.listen(time.Now()).waited(time.Now()) >= answerPatience:
		r.redial()
	}
}

// apply hands the map to magicsock, makes its relays reachable and keeps or
// picks the home.
func (r *relays) apply(ctx context.Context) {
	m, fresh := r.take()
	if m == nil {
		return
	}
	if fresh {
		r.plan(ctx, m)
	}
	given := upstreamMap(m, r.plans)
	if r.upstream.Swap(given) == nil {
		close(r.applied)
	}
	r.node.magic.SetDERPMap(given)
	home := r.node.Home()
	if region := m.Regions[home]; region == nil || !hasRelay(region) {
		home = firstHome(m)
	}
	r.setHome(home)
	r.ask()
}

// plan decides how each relay of m is tried first, keeping what is known of it.
func (r *relays) plan(ctx context.Context, m *derpmap.Map) {
	plans := map[relayID]relayPlan{}
	for _, region := range m.Regions {
		for _, n := range region.Nodes {
			if n.STUNOnly {
				continue
			}
			id := relayID{region.RegionID, n.Name}
			plans[id] = r.planFor(ctx, id, n, firstWay(n, &r.node.cfg))
		}
	}
	for id, b := range r.bridges {
		if plans[id].way != wayBridge {
			b.close()
			delete(r.bridges, id)
		}
	}
	r.plans = plans
	r.live = liveness{lastHeard: time.Now()}
}

func (r *relays) planFor(ctx context.Context, id relayID, n *derpmap.Node, w way) relayPlan {
	if w == wayBridge {
		return r.bridgeFor(id, n)
	}
	p := relayPlan{way: w}
	if w == wayGiven && strings.HasPrefix(n.CertName, pinPrefix) {
		p.addresses = resolve(ctx, n)
	}
	return p
}

// bridgeFor starts the bridge to a relay, or points the one that runs at it.
func (r *relays) bridgeFor(id relayID, n *derpmap.Node) relayPlan {
	b := r.bridges[id]
	if b == nil {
		var err error
		if b, err = newBridge(r.node.log, func(reason string) { r.node.self.setForcedWebSocket(id.region, reason) }); err != nil {
			r.node.log.Error("start bridge to relay", "relay", id.name, "err", err)
			return relayPlan{way: wayGiven}
		}
		r.bridges[id] = b
	}
	b.setTarget(bridgeTarget{
		scheme: schemeOf(n), host: n.HostName, port: portOf(n), header: r.node.cfg.Header, tls: r.node.cfg.TLS,
		webSocket: r.node.cfg.ForceWebSockets || !n.ForceHTTP && proxied(n), insecure: n.InsecureForTests,
	})
	return relayPlan{way: wayBridge, bridge: b.addr}
}

// resolve returns the addresses of a relay's host; none if it has no known ones.
func resolve(ctx context.Context, n *derpmap.Node) []netip.Addr {
	var fixed []netip.Addr
	for _, s := range []string{n.IPv4, n.IPv6} {
		if a, err := netip.ParseAddr(s); err == nil {
			fixed = append(fixed, a)
		}
	}
	if len(fixed) > 0 {
		return fixed
	}
	if a, err := netip.ParseAddr(n.HostName); err == nil {
		return []netip.Addr{a.Unmap()}
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	list, err := net.DefaultResolver.LookupNetIP(ctx, "ip", n.HostName)
	if err != nil {
		return nil
	}
	for i := range list {
		list[i] = list[i].Unmap()
	}
	return list
}

// setHome makes region home; magicsock connects to it at once.
func (r *relays) setHome(region int) {
	r.mu.Lock()
	r.home = region
	r.mu.Unlock()
	r.connected.Store(false)
	r.node.magic.ForceSetNearestDERP(region)
	r.node.self.setHome(region)
}

// followMeasurement moves home to the region that upstream found nearest.
func (r *relays) followMeasurement(ctx context.Context) {
	m, _ := r.peek()
	if m == nil || len(m.Regions) < 2 {
		return
	}
	report := r.node.magic.GetLastNetcheckReport(ctx)
	if report == nil || report.PreferredDERP == 0 || report.PreferredDERP == r.node.Home() {
		return
	}
	if region := m.Regions[report.PreferredDERP]; region != nil && hasRelay(region) && !region.Avoid {
		r.live = liveness{lastHeard: time.Now()}
		r.setHome(report.PreferredDERP)
		r.ask()
	}
}

func (r *relays) peek() (*derpmap.Map, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.given, r.home
}

// echoMagic begins the packet that a node sends to itself. WireGuard messages
// begin with 1 to 4, disco ones with "TS".
var echoMagic = []byte("\x00berth echo")

// ask sends a packet to ourselves through the home relay.
func (r *relays) ask() {
	if home := r.node.Home(); home != 0 {
		r.live.asked = time.Now()
		// Not sent means that the relay is not known any more: no answer either.
		_, _ = r.node.magic.SendDERPPacketTo(r.node.public, home, echoMagic)
		r.node.bind.queue.add(1)
	}
}

// relayReceived is called by magicsock for each packet from a relay that is not
// disco, and reports whether it was for us.
func (n *Node) relayReceived(region int, src key.NodePublic, _ []byte) bool {
	if region == n.Home() {
		n.relayHeard.Store(true)
		n.relays.connected.Store(true)
		if src == n.public {
			notify(n.relays.echoes)
		}
	}
	return src == n.public
}

// listen takes in whether something was heard from the home relay.
func (r *relays) listen(now time.Time) *liveness {
	if r.node.relayHeard.Swap(false) {
		r.live.heard(now)
	}
	return &r.live
}

// check lets the home relay's liveness decide, and does what it says.
func (r *relays) check(ctx context.Context) {
	now := time.Now()
	switch r.listen(now).tick(now, r.node.relayUsed.Swap(false)) {
	case relayAsk:
		r.ask()
	case relayRedial:
		r.node.log.Info("home relay does not answer, redialing", "region", r.node.Home())
		r.redial()
	case relayExamine:
		r.examine(ctx)
	}
}

// redial makes new connections to the relays.
func (r *relays) redial() {
	r.connected.Store(false)
	_ = r.node.magic.DebugBreakDERPConns() // its only error is that there are none
	r.ask()
}

// examine finds out how the relays of the home region are reached, and uses
// that.
func (r *relays) examine(ctx context.Context) {
	m, home := r.peek()
	if m == nil || m.Regions[home] == nil {
		return
	}
	changed := false
	for _, n := range m.Regions[home].Nodes {
		id := relayID{home, n.Name}
		if n.STUNOnly || r.plans[id].way == wayBridge {
			continue
		}
		if w, ok := examineRelay(ctx, n); ok {
			p := r.planFor(ctx, id, n, w)
			changed = changed || !p.equal(r.plans[id])
			r.plans[id] = p
		}
	}
	if !changed {
		r.redial()
		return
	}
	r.node.log.Info("relay is reached another way", "region", home)
	failures := r.live.failures
	r.apply(ctx)
	r.live.failures = failures
}

func (p relayPlan) equal(o relayPlan) bool {
	return p.way == o.way && p.bridge == o.bridge && slices.Equal(p.addresses, o.addresses)
}

// close ends the bridges. The watch has ended.
func (r *relays) close() {
	for _, b := range r.bridges {
		b.close()
	}
	maps.DeleteFunc(r.bridges, func(relayID, *bridge) bool { return true })
}

func schemeOf(n *derpmap.Node) string {
	if n.ForceHTTP {
		return "http"
	}
	return "https"
}

func portOf(n *derpmap.Node) int {
	switch {
	case n.DERPPort != 0:
		return n.DERPPort
	case n.ForceHTTP:
		return 80
	}
	return 443
}
