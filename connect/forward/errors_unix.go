//go:build !windows

package forward

import "syscall"

// What the system says of an address that somebody else listens on, and of one
// that nobody does.
const (
	errInUse   = syscall.EADDRINUSE
	errRefused = syscall.ECONNREFUSED
)
