package tailnet

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go4.org/mem"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"

	"github.com/berthdev/berth/tailnet/proto"
)

const (
	// keyPrefix and the 32 bytes of a public key are the field Node.key.
	keyPrefix = "np"

	// maxEndpoints bounds the endpoints taken from a record; hosts have a few.
	maxEndpoints = 64

	// peerCapability is high enough for what we want of upstream.
	peerCapability = tailcfg.CapabilityVersion(100)
)

// ErrRecord is what is wrong with a node record that SetPeer refuses.
var ErrRecord = errors.New("bad node record")

// record is a node record that was checked.
type record struct {
	key       key.NodePublic
	disco     key.DiscoPublic
	home      int
	addresses []netip.Prefix
	endpoints []netip.AddrPort
}

// parseRecord checks a record from outside. Endpoints that are no ip:port make
// it bad; those that no packet may be sent to are left out.
func parseRecord(n *proto.Node) (record, error) {
	var r record
	var err error
	if r.key, err = parseKey(n.GetKey()); err != nil {
		return r, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if err := r.disco.UnmarshalText([]byte(n.GetDisco())); err != nil || r.disco.IsZero() {
		return r, fmt.Errorf("%w: disco key %.80q", ErrRecord, n.GetDisco())
	}
	if r.home = int(n.GetPreferredDerp()); r.home <= 0 || r.home > 1<<16-1 {
		return r, fmt.Errorf("%w: home relay %d", ErrRecord, n.GetPreferredDerp())
	}
	if r.addresses, err = parseAddresses(n); err != nil {
		return r, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if r.endpoints, err = parseEndpoints(n.GetEndpoints()); err != nil {
		return r, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return r, nil
}

func parseKey(b []byte) (key.NodePublic, error) {
	raw, ok := bytes.CutPrefix(b, []byte(keyPrefix))
	if !ok || len(raw) != key.NodePublicRawLen {
		return key.NodePublic{}, errors.New("the key is not np and 32 bytes")
	}
	k := key.NodePublicFromRaw32(mem.B(raw))
	if k.IsZero() {
		return k, errors.New("the key is zero")
	}
	return k, nil
}

func parseAddresses(n *proto.Node) ([]netip.Prefix, error) {
	if len(n.GetAddresses()) == 0 {
		return nil, errors.New("no address")
	}
	if !slices.Equal(n.GetAddresses(), n.GetAllowedIps()) {
		return nil, errors.New("addresses and allowed addresses differ")
	}
	var out []netip.Prefix
	for _, s := range n.GetAddresses() {
		p, err := netip.ParsePrefix(s)
		if err != nil || p.Bits() != 128 || !servicePrefix.Contains(p.Addr()) && !vpnPrefix.Contains(p.Addr()) {
			return nil, fmt.Errorf("address %.60q is no /128 of the service", s)
		}
		out = append(out, p)
	}
	return out, nil
}

func parseEndpoints(list []string) ([]netip.AddrPort, error) {
	if len(list) > maxEndpoints {
		return nil, fmt.Errorf("%d endpoints, more than %d", len(list), maxEndpoints)
	}
	var out []netip.AddrPort
	for _, s := range list {
		a, err := netip.ParseAddrPort(s)
		if err != nil {
			return nil, fmt.Errorf("endpoint %.60q is no ip:port", s)
		}
		a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		if usable(a) {
			out = append(out, a)
		}
	}
	return out, nil
}

// usable reports whether a may be the place of a peer's UDP socket. An address
// of the tunnel itself is none: packets would go round.
func usable(a netip.AddrPort) bool {
	ip := a.Addr()
	return a.Port() != 0 && ip.Zone() == "" && !ip.IsUnspecified() && !ip.IsMulticast() &&
		ip != tailcfg.DerpMagicIPAddr && !servicePrefix.Contains(ip) && !vpnPrefix.Contains(ip)
}

// node gives r the form that magicsock takes. With relayOnly it has no endpoints.
func (r record) node(id tailcfg.NodeID, relayOnly bool) tailcfg.NodeView {
	n := &tailcfg.Node{
		ID: id, Key: r.key, DiscoKey: r.disco, HomeDERP: r.home,
		Name:      "peer", // upstream wants one
		Addresses: r.addresses, AllowedIPs: r.addresses, Cap: peerCapability,
	}
	if !relayOnly {
		n.Endpoints = r.endpoints
	}
	return n.View()
}

// encodeKey is the inverse of parseKey.
func encodeKey(k key.NodePublic) []byte {
	raw := k.Raw32()
	return append([]byte(keyPrefix), raw[:]...)
}

// prefixes gives addresses their form in a record.
func prefixStrings(list []netip.Prefix) []string {
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = strings.ToLower(p.String())
	}
	return out
}
