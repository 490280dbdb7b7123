//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// sizeChanges returns a channel that holds something when the terminal may have
// a new size.
func sizeChanges() (<-chan os.Signal, func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGWINCH)
	return c, func() { signal.Stop(c) }
}
