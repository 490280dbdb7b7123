//go:build !windows

package netstack

import "syscall"

const (
	ErrRefused = syscall.ECONNREFUSED
	errInUse   = syscall.EADDRINUSE
)
