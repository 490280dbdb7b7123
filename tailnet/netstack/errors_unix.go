//go:build !windows

package netstack

import "syscall"

const (
	errRefused = syscall.ECONNREFUSED
	errInUse   = syscall.EADDRINUSE
)
