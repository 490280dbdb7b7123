package netstack

import "golang.org/x/sys/windows"

const (
	ErrRefused = windows.WSAECONNREFUSED
	errInUse   = windows.WSAEADDRINUSE
)
