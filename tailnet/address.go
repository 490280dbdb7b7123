package tailnet

import (
	"crypto/rand"
	"encoding/binary"
	"math"
	"net/netip"

	"github.com/google/uuid"
)

// The prefixes of the service. Clients dial the first; every agent has an
// address in both.
var (
	servicePrefix = netip.MustParsePrefix("fd7a:115c:a1e0::/48")
	vpnPrefix     = netip.MustParsePrefix("fd60:627a:a42b::/48")
)

// AddressesFor returns the two addresses of the agent or peer id as /128
// prefixes, the one that is dialed first: the first 6 bytes of the id are
// replaced by those of the prefix.
func AddressesFor(id uuid.UUID) []netip.Prefix {
	return []netip.Prefix{addressIn(servicePrefix, id), addressIn(vpnPrefix, id)}
}

// AddressFor returns the address at which the agent id is dialed.
func AddressFor(id uuid.UUID) netip.Addr { return addressIn(servicePrefix, id).Addr() }

// NodeID returns the id in the record of the agent id: its last 8 bytes as a
// number that is not negative.
func NodeID(id uuid.UUID) int64 {
	n := int64(binary.BigEndian.Uint64(id[8:]))
	if n == math.MinInt64 {
		return math.MaxInt64
	}
	return max(n, -n)
}

// RandomAddress returns the address of a client that has no id.
func RandomAddress() netip.Prefix {
	var id uuid.UUID
	rand.Read(id[:]) // never fails
	return addressIn(servicePrefix, id)
}

func addressIn(p netip.Prefix, id uuid.UUID) netip.Prefix {
	a := [16]byte(id)
	base := p.Addr().As16()
	copy(a[:6], base[:6])
	return netip.PrefixFrom(netip.AddrFrom16(a), 128)
}
