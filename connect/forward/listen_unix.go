//go:build !windows

package forward

import (
	"net"
	"syscall"
)

// listenPrivately makes a socket that has mode 0600 from its beginning: a chmod
// after it would leave others a moment to connect. The umask is that of the whole
// process; what it makes at the same moment is private too.
func listenPrivately(path string) (net.Listener, error) {
	old := syscall.Umask(0o177)
	defer syscall.Umask(old)
	return net.Listen("unix", path)
}
