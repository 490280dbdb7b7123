package forward

import "golang.org/x/sys/windows"

// What the system says of an address that somebody else listens on, and of one
// that nobody does. Those of package syscall are numbers that Go made up for
// Windows: no socket returns them.
const (
	errInUse   = windows.WSAEADDRINUSE
	errRefused = windows.WSAECONNREFUSED
)
