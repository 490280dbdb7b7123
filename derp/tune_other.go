//go:build !linux

package derp

import "net"

// tune does nothing here: the kernel's queue is what it is.
func tune(net.Conn) {}
