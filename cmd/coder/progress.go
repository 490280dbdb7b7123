package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// progressAfter is how long a wait may take before it is worth a word.
const progressAfter = time.Second

// progress is one line on the user's terminal that says what is waited for. It
// shows only after progressAfter, and only when stderr is a terminal. The zero
// value and nil show nothing.
type progress struct {
	stop chan struct{}
	once sync.Once
	done sync.WaitGroup

	mu    sync.Mutex // guards what is below
	what  string
	shown bool
}

// showProgress starts to count; call end before other output.
func showProgress(what string) *progress {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return nil
	}
	p := &progress{what: what, stop: make(chan struct{})}
	p.done.Go(p.run)
	return p
}

// now changes what is waited for.
func (p *progress) now(what string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what = what
}

// Write writes whole lines in place of the one that is shown, which comes back below
// them. Without a progress it writes to stderr.
func (p *progress) Write(lines []byte) (int, error) {
	if p == nil {
		return os.Stderr.Write(lines)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hideLocked()
	return os.Stderr.Write(lines)
}

func (p *progress) hideLocked() {
	if p.shown {
		fmt.Fprint(os.Stderr, "\r\x1b[2K")
	}
	p.shown = false
}

// end removes the line. It may be called twice.
func (p *progress) end() {
	if p == nil {
		return
	}
	p.once.Do(func() { close(p.stop) })
	p.done.Wait()
}

func (p *progress) run() {
	start := time.Now()
	tick := time.NewTicker(progressAfter)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.mu.Lock()
			fmt.Fprintf(os.Stderr, "\r\x1b[2K%s … %ds", printable(p.what), int(time.Since(start).Seconds()))
			p.shown = true
			p.mu.Unlock()
		case <-p.stop:
			p.mu.Lock()
			p.hideLocked()
			p.mu.Unlock()
			return
		}
	}
}
