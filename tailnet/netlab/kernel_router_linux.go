package netlab

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// RouterKind is what a router does to IPv4 flows from the network behind it.
// All but Routed let nobody in who was not called.
type RouterKind int

const (
	// Routed changes nothing and lets everybody in.
	Routed RouterKind = iota

	// EasyNAT keeps a socket's port, whoever it speaks to
	// (endpoint-independent mapping), and lets in only answers (address and
	// port dependent filtering): most homes. Two hosts behind it that use
	// the same port get different ones.
	EasyNAT

	// OpenNAT is EasyNAT that lets any UDP in to the first host behind it,
	// as a full cone does.
	OpenNAT

	// HardNAT gives every flow a random port (address and port dependent
	// mapping): many offices and mobile networks.
	HardNAT
)

// Router is a node with a network behind it.
type Router struct {
	*node
	kind   RouterKind
	number byte // of its network
	used   byte // the highest number given out in it; 1 is the router
}

// Host adds a host behind the router.
func (r *Router) Host(name string) *Host {
	r.lab.t.Helper()
	n, err := r.lab.newNode(name, r)
	if err != nil {
		r.lab.t.Fatalf("netlab: make host %s: %v", name, err)
	}
	if r.kind == OpenNAT && r.used == 2 {
		r.must("open to "+name, r.iptables("iptables", "-t", "nat", "-A", "PREROUTING",
			"-i", uplink, "-p", "udp", "-j", "DNAT", "--to-destination", n.addr4.String()))
	}
	return &Host{node: n}
}

// Router adds a router behind the router: a second NAT in the way.
func (r *Router) Router(name string, kind RouterKind) *Router {
	r.lab.t.Helper()
	return r.lab.newRouter(name, r, kind)
}

// Forget drops all of the router's flows and port mappings, as a restart does.
func (r *Router) Forget() {
	r.lab.t.Helper()
	r.must("forget flows", r.ns.nl.ConntrackTableFlush(netlink.ConntrackTable))
}

// Readdress gives the router another uplink address, as providers do at night.
// All flows through it end.
func (r *Router) Readdress() netip.Addr {
	r.lab.t.Helper()
	addr := r.node.Readdress()
	// The kernel forgets the flows by itself, but some time later.
	r.Forget()
	return addr
}

// free gives the next number in the router's network. Numbers are not used
// twice, so that nobody mistakes a newcomer for a host that left.
func (r *Router) free() (byte, error) {
	if r.used == 254 {
		return 0, fmt.Errorf("the network of %s is full", r.name)
	}
	r.used++
	return r.used, nil
}

// serve makes the node forward between the network behind it and the uplink.
func (r *Router) serve() error {
	if err := r.forward(); err != nil {
		return err
	}
	if r.above == nil {
		return nil
	}
	if r.kind == Routed {
		return r.announce(subnet4(r.number))
	}
	return r.translate()
}

// forward switches forwarding on and takes the gateway addresses.
func (r *Router) forward() error {
	lo, err := r.ns.nl.LinkByName("lo")
	if err != nil {
		return err
	}
	err = r.ns.sysctl("ipv4/ip_forward", "1")
	gateways := []netip.Prefix{netip.PrefixFrom(within(subnet4(r.number), 1), 32)}
	if r.lab.cfg.IPv6 {
		err = errors.Join(err, r.ns.sysctl("ipv6/conf/all/forwarding", "1"))
		gateways = append(gateways, netip.PrefixFrom(within(subnet6(r.number), 1), 128))
	}
	for _, g := range gateways {
		err = errors.Join(err, r.ns.nl.AddrReplace(lo, nodeAddr(g)))
	}
	if r.above == nil || !r.lab.cfg.IPv6 {
		return err
	}
	return errors.Join(err, r.announce(subnet6(r.number)))
}

// announce tells the routers above the way to the network behind. An IPv4
// network is known up to the first NAT.
func (r *Router) announce(p netip.Prefix) error {
	for below, at := r.node, r.above; at != nil; below, at = at.node, at.above {
		link, err := at.ns.nl.LinkByName(below.device)
		if err != nil {
			return err
		}
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(p)}
		if err := at.ns.nl.RouteReplace(route); err != nil {
			return fmt.Errorf("route %v from %s: %w", p, at.name, err)
		}
		if p.Addr().Is4() && at.kind != Routed {
			return nil
		}
	}
	return nil
}

// translate sets up NAT. Strangers are dropped, not refused: on kernels before
// 6.13 a refusal leaves a flow in the table that takes the port from the host
// that is about to call the stranger, and so breaks hole punching.
func (r *Router) translate() error {
	masquerade := []string{"-t", "nat", "-A", "POSTROUTING", "-o", uplink, "-j", "MASQUERADE"}
	if r.kind == HardNAT {
		masquerade = append(masquerade, "--random-fully")
	}
	strangers := []string{"-i", uplink, "-m", "conntrack", "--ctstate", "NEW", "-j", "DROP"}
	err := r.iptables("iptables", masquerade...)
	err = errors.Join(err, r.iptables("iptables", append([]string{"-A", "INPUT"}, strangers...)...))
	if r.kind != OpenNAT {
		err = errors.Join(err, r.iptables("iptables", append([]string{"-A", "FORWARD"}, strangers...)...))
	}
	if r.lab.cfg.IPv6 {
		err = errors.Join(err, r.iptables("ip6tables", append([]string{"-A", "FORWARD"}, strangers...)...))
	}
	return err
}

func (r *Router) iptables(tool string, args ...string) error {
	return r.ns.run(tool, append([]string{"-w"}, args...)...)
}
