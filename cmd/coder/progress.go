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

	mu   sync.Mutex // guards what
	what string
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
	shown := false
	for {
		select {
		case <-tick.C:
			p.mu.Lock()
			fmt.Fprintf(os.Stderr, "\r\x1b[2K%s … %ds", printable(p.what), int(time.Since(start).Seconds()))
			p.mu.Unlock()
			shown = true
		case <-p.stop:
			if shown {
				fmt.Fprint(os.Stderr, "\r\x1b[2K")
			}
			return
		}
	}
}
