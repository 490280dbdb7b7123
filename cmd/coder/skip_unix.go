//go:build unix

package main

import (
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// skipPoll is how long a look at the keyboard may last, in milliseconds: as long
// as the end of the wait may be late.
const skipPoll = 50

// waySkip is how the user goes on without start scripts.
const waySkip = "Enter"

// lineTyped returns a channel that is closed when the user has typed a line. It
// takes that line and nothing more; stop ends the wait.
func lineTyped(in *os.File) (typed <-chan struct{}, stop func()) {
	got, done := make(chan struct{}), make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		for !readable(in) {
			select {
			case <-done:
				return
			default:
			}
		}
		if _, err := unix.Read(int(in.Fd()), make([]byte, 4096)); err == nil { // a terminal gives a line at a time
			close(got)
		}
	})
	return got, func() {
		close(done)
		waiting.Wait()
	}
}

// readable reports whether something is there to be read; it waits for skipPoll.
func readable(in *os.File) bool {
	fds := []unix.PollFd{{Fd: int32(in.Fd()), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, skipPoll)
	return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
}
