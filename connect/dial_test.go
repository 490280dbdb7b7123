package connect

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// end is a connection that notes that it was closed.
type end struct {
	net.Conn
	name   string
	closed bool
}

func (e *end) Close() error { e.closed = true; return nil }

// tries makes a dial function of tries that take so long, the last one for all
// that follow. A negative time is a failure.
func tries(ctx context.Context, conns *[]*end, took ...time.Duration) func() (net.Conn, error) {
	var mu sync.Mutex
	n := 0
	return func() (net.Conn, error) {
		mu.Lock()
		d := took[min(n, len(took)-1)]
		c := &end{name: string(rune('a' + n))}
		n++
		mu.Unlock()
		select {
		case <-time.After(d.Abs()):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if d < 0 {
			return nil, io.ErrUnexpectedEOF
		}
		mu.Lock()
		defer mu.Unlock()
		*conns = append(*conns, c)
		return c, nil
	}
}

func TestDialsBesideASlowOne(t *testing.T) {
	const soon, late = 50 * time.Millisecond, time.Hour
	for name, c := range map[string]struct {
		reached time.Duration // when the path works
		took    []time.Duration
		want    string // the connection, or empty for an error
		after   time.Duration
	}{
		"quick":                  {soon, []time.Duration{soon}, "a", soon},
		"slow path, no hurry":    {late, []time.Duration{10 * time.Second, soon}, "a", 10 * time.Second},
		"first packet lost":      {soon, []time.Duration{time.Second, soon}, "b", soon + dialAgainAfter + soon},
		"two lost":               {soon, []time.Duration{late, late, soon}, "c", soon + dialAgainAfter + dialAgainAfter<<2 + soon},
		"refused":                {soon, []time.Duration{-soon}, "", soon},
		"refused beside another": {soon, []time.Duration{time.Second, -soon}, "a", time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				var made []*end
				d := &dials{results: make(chan result[net.Conn], maxDials), reached: make(chan struct{})}
				d.tasks.Go(func() {
					select {
					case <-time.After(c.reached):
					case <-ctx.Done():
					}
					close(d.reached)
				})
				start := time.Now()
				conn, err := d.race(tries(ctx, &made, c.took...))
				if took := time.Since(start); took != c.after {
					t.Errorf("took %v, want %v", took, c.after)
				}
				cancel()
				d.finish()
				got := ""
				if err == nil {
					got = conn.(*end).name
				}
				if got != c.want {
					t.Errorf("got connection %q, %v, want %q", got, err, c.want)
				}
				for _, e := range made {
					if e.closed != (e.name != got) {
						t.Errorf("connection %s closed: %v, got was %s", e.name, e.closed, got)
					}
				}
			})
		})
	}
}

func TestDialGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var made []*end
		d := &dials{results: make(chan result[net.Conn], maxDials), reached: make(chan struct{})}
		if _, err := d.race(tries(ctx, &made, time.Hour)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("race = %v, want the end of the context", err)
		}
		d.finish()
	})
}
