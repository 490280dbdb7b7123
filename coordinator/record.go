package coordinator

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/google/uuid"
	pb "google.golang.org/protobuf/proto"
	"tailscale.com/types/key"

	"github.com/berthdev/berth/tailnet/proto"
)

// The bounds of a record. A host with dozens of interfaces behind several NATs
// publishes some fifty endpoints in 3 KiB.
const (
	maxNodeBytes  = 32 << 10
	maxAddresses  = 8
	maxEndpoints  = 256
	maxTextLength = 128 // of one address, endpoint or reason
)

var (
	servicePrefix = netip.MustParsePrefix("fd7a:115c:a1e0::/48")
	desktopPrefix = netip.MustParsePrefix("fd60:627a:a42b::/48")
	// legacyAddr is published by all agents of before 2024, each for clients
	// of that age that reach one agent only.
	legacyAddr = netip.MustParseAddr("fd7a:115c:a1e0:49d6:b259:b7ac:b1b2:48f4")
)

// AgentAddresses returns the two addresses that belong to an agent by its id.
func AgentAddresses(id uuid.UUID) [2]netip.Addr {
	return [2]netip.Addr{derive(desktopPrefix, id), derive(servicePrefix, id)}
}

// derive puts the first 6 bytes of prefix before the last 10 of id.
func derive(prefix netip.Prefix, id uuid.UUID) netip.Addr {
	a := prefix.Addr().As16()
	copy(a[6:], id[6:])
	return netip.AddrFrom16(a)
}

// NodeID returns the number that a peer's record carries: made of the last 8
// bytes of its id, never negative.
func NodeID(id uuid.UUID) int64 {
	n := int64(binary.BigEndian.Uint64(id[8:]))
	switch {
	case n == math.MinInt64:
		return math.MaxInt64
	case n < 0:
		return -n
	}
	return n
}

// checkNode reports what is wrong with the record that a peer published, and
// replaces what follows from the peer's id. Routing is derived, not received:
// addresses are an agent's own, or anywhere in the service prefixes for a
// client, and nothing else is allowed through them.
func checkNode(id uuid.UUID, role Role, node *proto.Node) error {
	if node == nil {
		return errors.New("no record")
	}
	node.ProtoReflect().SetUnknown(nil)
	if size := pb.Size(node); size > maxNodeBytes {
		return fmt.Errorf("record of %d bytes, at most %d are allowed", size, maxNodeBytes)
	}
	if _, err := nodeKey(node.Key); err != nil {
		return err
	}
	if err := new(key.DiscoPublic).UnmarshalText([]byte(node.Disco)); err != nil {
		return errors.New("malformed disco key")
	}
	if node.PreferredDerp < 0 {
		return errors.New("negative home relay")
	}
	if err := checkAddresses(id, role, node); err != nil {
		return err
	}
	if err := checkEndpoints(node.Endpoints); err != nil {
		return err
	}
	node.Id = NodeID(id)
	return nil
}

func nodeKey(b []byte) (k key.NodePublic, err error) {
	if err := k.UnmarshalBinary(b); err != nil || k.IsZero() {
		return key.NodePublic{}, errors.New("malformed node key")
	}
	return k, nil
}

func checkAddresses(id uuid.UUID, role Role, node *proto.Node) error {
	if len(node.Addresses) == 0 || len(node.Addresses) > maxAddresses {
		return fmt.Errorf("%d addresses, want 1 to %d", len(node.Addresses), maxAddresses)
	}
	if !slices.Equal(node.Addresses, node.AllowedIps) {
		return errors.New("addresses and allowed IPs differ")
	}
	for _, a := range node.Addresses {
		p, err := netip.ParsePrefix(a)
		if err != nil || p.Bits() != 128 {
			return fmt.Errorf("address %.50q is not a /128", a)
		}
		if !mayUse(id, role, p.Addr()) {
			return fmt.Errorf("address %s is not this peer's to use", p.Addr())
		}
	}
	return nil
}

func mayUse(id uuid.UUID, role Role, a netip.Addr) bool {
	if role == Agent {
		own := AgentAddresses(id)
		return a == own[0] || a == own[1] || a == legacyAddr
	}
	return a != legacyAddr && (servicePrefix.Contains(a) || desktopPrefix.Contains(a))
}

func checkEndpoints(endpoints []string) error {
	if len(endpoints) > maxEndpoints {
		return fmt.Errorf("%d endpoints, at most %d are allowed", len(endpoints), maxEndpoints)
	}
	for _, e := range endpoints {
		if len(e) > maxTextLength {
			return fmt.Errorf("endpoint of %d bytes", len(e))
		}
		if _, err := netip.ParseAddrPort(e); err != nil {
			return fmt.Errorf("malformed endpoint %.50q", e)
		}
	}
	return nil
}
