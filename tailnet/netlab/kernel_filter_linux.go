package netlab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
)

// Filter names packets between a node and the rest of the world. The zero
// value is all of them.
type Filter struct {
	Proto string     // "udp" or "tcp"; empty is all
	Addr  netip.Addr // of the other side; the zero value is any
	Port  uint16     // of the other side, needs Proto; 0 is any

	// Reject answers the node's packets with an ICMP error (TCP: a reset),
	// as some firewalls do; else they vanish.
	Reject bool
}

// Block stops what f names, both ways and also in flows that exist already. It
// happens at the router above, so that the node notices nothing at once; what
// the node says to that router itself passes.
func (n *node) Block(f Filter) {
	n.lab.t.Helper()
	n.must(fmt.Sprintf("block %+v", f), n.block(f))
}

// Unblock undoes Block.
func (n *node) Unblock(f Filter) {
	n.lab.t.Helper()
	n.must(fmt.Sprintf("unblock %+v", f), n.unblock(f))
}

func (n *node) block(f Filter) error {
	if slices.Contains(n.filters, f) {
		return nil
	}
	if f.Port != 0 && f.Proto == "" {
		return errors.New("a port needs a protocol")
	}
	n.filters = append(n.filters, f)
	return n.filter("-I", f)
}

func (n *node) unblock(f Filter) error {
	if !slices.Contains(n.filters, f) {
		return nil
	}
	n.filters = slices.DeleteFunc(slices.Clone(n.filters), func(g Filter) bool { return g == f })
	return n.filter("-D", f)
}

// filter inserts (-I) or deletes (-D) the rules of f.
func (n *node) filter(op string, f Filter) error {
	var tools []string
	if !f.Addr.IsValid() || f.Addr.Is4() {
		tools = append(tools, "iptables")
	}
	if n.lab.cfg.IPv6 && (!f.Addr.IsValid() || f.Addr.Is6()) {
		tools = append(tools, "ip6tables")
	}
	for _, tool := range tools {
		for _, rule := range f.rules(n.device) {
			if err := n.above.ns.run(tool, append([]string{"-w", op, "FORWARD"}, rule...)...); err != nil {
				return err
			}
		}
	}
	return nil
}

// rules are the matches and targets for what comes from and goes to device.
func (f Filter) rules(device string) [2][]string {
	out := []string{"-i", device}
	in := []string{"-o", device}
	if f.Proto != "" {
		out = append(out, "-p", f.Proto)
		in = append(in, "-p", f.Proto)
	}
	if f.Addr.IsValid() {
		out = append(out, "-d", f.Addr.String())
		in = append(in, "-s", f.Addr.String())
	}
	if f.Port != 0 {
		port := strconv.Itoa(int(f.Port))
		out = append(out, "--dport", port)
		in = append(in, "--sport", port)
	}
	return [2][]string{append(out, f.target()...), append(in, "-j", "DROP")}
}

func (f Filter) target() []string {
	switch {
	case !f.Reject:
		return []string{"-j", "DROP"}
	case f.Proto == "tcp":
		return []string{"-j", "REJECT", "--reject-with", "tcp-reset"}
	}
	return []string{"-j", "REJECT"}
}
