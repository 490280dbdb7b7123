package netlab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// uplink is the device every node reaches the network by.
const uplink = "eth0"

// queueLen is how many packets the kernel keeps for the shuttle: a burst of
// 10 ms at 1.5 Gbit/s with 1500-byte packets.
const queueLen = 1000

// localPatience is far more than the kernel takes for a new address.
const localPatience = 10 * time.Second

// node is what hosts and routers have in common: a namespace and a link to the
// network above.
type node struct {
	lab  *Kernel
	name string
	ns   *namespace

	above  *Router // nil at the top
	device string  // of the link, in above
	link   *Link
	addr4  netip.Addr
	addr6  netip.Addr // invalid without IPv6

	filters []Filter
}

// Name is the name the node was made with.
func (n *node) Name() string { return n.name }

// Addr is the node's IPv4 address; MoveTo and Readdress change it.
func (n *node) Addr() netip.Addr { return n.addr4 }

// Addr6 is the node's IPv6 address; invalid unless the lab has IPv6.
func (n *node) Addr6() netip.Addr { return n.addr6 }

// Link is the node's link to the network above; MoveTo makes a new one.
func (n *node) Link() *Link { return n.link }

// Readdress gives the node another address of the same network in place of
// its own, and returns it.
func (n *node) Readdress() netip.Addr {
	n.lab.t.Helper()
	n.must("readdress", errors.Join(n.leave(), n.enter()))
	return n.addr4
}

// SetUp raises or lowers the node's network device. (A link that is merely
// partitioned, by Conditions, looks up to the node.)
func (n *node) SetUp(up bool) {
	n.lab.t.Helper()
	if up {
		n.must("raise "+uplink, n.configure())
		return
	}
	link, err := n.ns.nl.LinkByName(uplink)
	if err == nil {
		err = n.ns.nl.LinkSetDown(link)
	}
	n.must("lower "+uplink, err)
}

func (n *node) must(what string, err error) {
	n.lab.t.Helper()
	if err != nil {
		n.lab.t.Fatalf("netlab: %s: %s: %v", n.name, what, err)
	}
}

// setDefaults prepares the namespace before it has devices: no addresses that
// we did not give, no packets that nobody sent.
func (n *node) setDefaults() error {
	noIPv6 := "1"
	if n.lab.cfg.IPv6 {
		noIPv6 = "0"
	}
	for _, s := range [][2]string{
		{"ipv4/conf/all/rp_filter", "0"},
		{"ipv4/conf/default/rp_filter", "0"},
		{"ipv6/conf/default/disable_ipv6", noIPv6},
		{"ipv6/conf/default/addr_gen_mode", "1"},
	} {
		err := n.ns.sysctl(s[0], s[1])
		if errors.Is(err, os.ErrNotExist) && !n.lab.cfg.IPv6 {
			continue // a kernel without IPv6
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// attach plugs the node in.
func (n *node) attach(above *Router) error {
	n.lab.links++
	device := fmt.Sprintf("link%d", n.lab.links)
	link, err := newLink(n.ns, above.ns, uplink, device, n.lab.links)
	if err != nil {
		return err
	}
	n.above, n.device, n.link = above, device, link
	for ns, device := range map[*namespace]string{n.ns: uplink, above.ns: device} {
		if err := n.lab.tune(ns, device); err != nil {
			return err
		}
	}
	if err := above.ns.up(device); err != nil {
		return err
	}
	return n.enter()
}

// tune sets packet size and queue of a new device.
func (k *Kernel) tune(ns *namespace, device string) error {
	link, err := ns.nl.LinkByName(device)
	if err != nil {
		return err
	}
	return errors.Join(ns.nl.LinkSetMTU(link, k.cfg.MTU), ns.nl.LinkSetTxQLen(link, queueLen))
}

// enter takes free addresses and makes them known to the router above.
func (n *node) enter() error {
	number, err := n.above.free()
	if err != nil {
		return err
	}
	n.addr4 = within(subnet4(n.above.number), number)
	if n.lab.cfg.IPv6 {
		n.addr6 = within(subnet6(n.above.number), number)
	}
	link, err := n.above.ns.nl.LinkByName(n.device)
	if err != nil {
		return err
	}
	for _, a := range n.addrs() {
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(netip.PrefixFrom(a, a.BitLen()))}
		if err := n.above.ns.nl.RouteReplace(route); err != nil {
			return fmt.Errorf("route %v from %s: %w", a, n.above.name, err)
		}
	}
	return n.configure()
}

// leave undoes enter; the device stays.
func (n *node) leave() error {
	near, err := n.ns.nl.LinkByName(uplink)
	if err != nil {
		return err
	}
	far, err := n.above.ns.nl.LinkByName(n.device)
	if err != nil {
		return err
	}
	for _, a := range n.addrs() {
		route := &netlink.Route{LinkIndex: far.Attrs().Index, Dst: ipNet(netip.PrefixFrom(a, a.BitLen()))}
		addr := netip.PrefixFrom(a, n.subnet(a).Bits())
		err = errors.Join(err, n.ns.nl.AddrDel(near, nodeAddr(addr)), n.above.ns.nl.RouteDel(route))
	}
	return err
}

// configure raises the device with the node's addresses and default routes. It
// may be repeated.
func (n *node) configure() error {
	if err := n.ns.up(uplink); err != nil {
		return err
	}
	link, err := n.ns.nl.LinkByName(uplink)
	if err != nil {
		return err
	}
	for _, a := range n.addrs() {
		subnet := n.subnet(a)
		if err := n.ns.nl.AddrReplace(link, nodeAddr(netip.PrefixFrom(a, subnet.Bits()))); err != nil {
			return fmt.Errorf("give address %v: %w", a, err)
		}
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: within(subnet, 1).AsSlice()}
		if err := n.ns.nl.RouteReplace(route); err != nil {
			return fmt.Errorf("set default route: %w", err)
		}
		if err := n.awaitLocal(a); err != nil {
			return err
		}
	}
	return nil
}

// awaitLocal waits until the kernel takes packets for a. It makes an IPv6
// address its own some time after it was given, and tells nobody.
func (n *node) awaitLocal(a netip.Addr) error {
	for deadline := time.Now().Add(localPatience); ; time.Sleep(time.Millisecond) {
		routes, err := n.ns.nl.RouteGet(a.AsSlice())
		if err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%v is not local %v after it was given: routes %v, error %v", a, localPatience, routes, err)
		}
	}
}

func (n *node) addrs() []netip.Addr {
	if n.addr6.IsValid() {
		return []netip.Addr{n.addr4, n.addr6}
	}
	return []netip.Addr{n.addr4}
}

// subnet is the network above that holds addresses of a's family.
func (n *node) subnet(a netip.Addr) netip.Prefix {
	if a.Is4() {
		return subnet4(n.above.number)
	}
	return subnet6(n.above.number)
}

// nodeAddr is an address that can be used at once: we know that nobody else
// has it.
func nodeAddr(p netip.Prefix) *netlink.Addr {
	return &netlink.Addr{IPNet: ipNet(p), Flags: unix.IFA_F_NODAD}
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
