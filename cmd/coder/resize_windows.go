package main

import "time"

// sizeChanges returns a channel that holds something when the terminal may have
// a new size: Windows does not say when.
func sizeChanges() (<-chan time.Time, func()) {
	t := time.NewTicker(500 * time.Millisecond)
	return t.C, t.Stop
}
