//go:build !linux

package tailnet

import "net/netip"

// routeMTU returns 0, it is not known: sockets of these systems let UDP packets be
// fragmented unless told otherwise, so that an answer to a large one says nothing of
// the path. On Windows, WireGuard's buffers have room for 2 KB only.
func routeMTU(netip.AddrPort) int { return 0 }
