package health

import (
	"context"
	"sync"
	"time"
)

const (
	// gather is how long changes wait for others before a call takes all of
	// them, so that there is at most one call in that time (reference: agent §5).
	gather = time.Second
	// sendTimeout bounds a call (reference: agent §5).
	sendTimeout = 30 * time.Second
	// minInterval bounds what a template may ask for, which counts in seconds.
	minInterval = time.Second
)

// bell tells those who wait that something has changed. The zero value works.
type bell struct {
	mu   sync.Mutex
	rung chan struct{} // closed by the next ring; nil when nobody waits for it
}

// ring ends the waits of all that listen.
func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung != nil {
		close(b.rung)
		b.rung = nil
	}
}

// listen returns a channel that the next ring closes.
func (b *bell) listen() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.rung
}

// report calls send whenever there is news, until ctx ends or send fails. The
// bell rings when that may be so.
func report(ctx context.Context, b *bell, news func() bool, send func(context.Context) error) error {
	for {
		changed := b.listen()
		if !news() {
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := sleep(ctx, gather); err != nil {
			return err
		}
		if err := within(ctx, sendTimeout, send); err != nil {
			return err
		}
	}
}

func within(ctx context.Context, d time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return do(ctx)
}

// sleep returns after d, or with an error when ctx has ended by then.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
