package health

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// log is what scripts do in virtual time: each is its name.
type log struct {
	mu     sync.Mutex
	began  time.Time
	starts map[string][]time.Duration // since the beginning
	active map[string]int
	most   int // runs of one script at once
}

func newLog() *log {
	return &log{began: time.Now(), starts: map[string][]time.Duration{}, active: map[string]int{}}
}

// run notes a start and runs until done says so.
func (l *log) run(ctx context.Context, script string, done func(context.Context) ([]byte, error)) ([]byte, error) {
	l.mu.Lock()
	l.starts[script] = append(l.starts[script], time.Since(l.began))
	l.active[script]++
	l.most = max(l.most, l.active[script])
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.active[script]--
		l.mu.Unlock()
	}()
	return done(ctx)
}

func (l *log) of(script string) []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.starts[script])
}

// hang runs until it is ended.
func hang(ctx context.Context) ([]byte, error) {
	<-ctx.Done()
	return []byte("begun\n"), context.Cause(ctx)
}

func print(text string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) { return []byte(text), nil }
}

// TestIntervals has a script that hangs among others: nobody waits for it, and
// it for none of its own runs.
func TestIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		m := NewMetadata(func(ctx context.Context, script string) ([]byte, error) {
			if script == "hangs" {
				return l.run(ctx, script, hang)
			}
			return l.run(ctx, script, print(script))
		})
		defer m.Close()
		m.Update([]Description{
			{Key: "a", Script: "hangs", Interval: 10 * time.Second, Timeout: 15 * time.Second},
			{Key: "b", Script: "each 10 s", Interval: 10 * time.Second},
			{Key: "c", Script: "once"},
			{Key: "b", Script: "twice the same key", Interval: 10 * time.Second},
			{Key: "d", Script: "as often as it may", Interval: 10 * time.Nanosecond},
		})
		time.Sleep(30*time.Second + 500*time.Millisecond)
		for script, want := range map[string][]time.Duration{
			"hangs":              {0, 15 * time.Second, 30 * time.Second},
			"each 10 s":          {distance, 10*time.Second + distance, 20*time.Second + distance, 30*time.Second + distance},
			"once":               {2 * distance},
			"twice the same key": nil,
		} {
			if got := l.of(script); !slices.Equal(got, want) {
				t.Errorf("starts of the script %q = %v, want %v", script, got, want)
			}
		}
		if got := len(l.of("as often as it may")); got != 31 {
			t.Errorf("a script with an interval of 10 ns ran %d times in 30 s, want once a second", got)
		}
		if l.most != 1 {
			t.Errorf("%d runs of a script at once, want one", l.most)
		}
	})
}

func TestTimeouts(t *testing.T) {
	for _, tc := range []struct {
		interval, timeout, want time.Duration
	}{
		{0, 0, 3 * time.Second},
		{0, 7 * time.Second, 7 * time.Second},
		{10 * time.Second, 0, 10 * time.Second},
		{10 * time.Second, time.Second, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := NewMetadata(func(ctx context.Context, _ string) ([]byte, error) { return hang(ctx) })
			defer m.Close()
			began := time.Now()
			m.Update([]Description{{Key: "a", Interval: tc.interval, Timeout: tc.timeout}})
			<-m.changed.listen() // that of the update is over
			results, _ := m.since(0)
			if len(results) != 1 {
				t.Fatalf("results = %+v, want one", results)
			}
			r := results[0]
			if took := r.CollectedAt.Sub(began); took != tc.want || r.Value != "begun" || r.Error != fmt.Sprintf("ended after %v, its time", tc.want) {
				t.Errorf("interval %v, timeout %v: %+v after %v, want it ended after %v", tc.interval, tc.timeout, r, took, tc.want)
			}
		})
	}
}

func TestStartsKeepTheirDistance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		m := NewMetadata(func(ctx context.Context, script string) ([]byte, error) { return l.run(ctx, script, hang) })
		defer m.Close()
		var all []Description
		for i := range 50 {
			all = append(all, Description{Key: fmt.Sprint(i), Script: fmt.Sprint(i), Interval: time.Minute})
		}
		m.Update(all)
		time.Sleep(time.Second)
		var starts []time.Duration
		for i := range 50 {
			starts = append(starts, l.of(fmt.Sprint(i))...)
		}
		slices.Sort(starts)
		if len(starts) != 50 || starts[0] != 0 {
			t.Fatalf("%d scripts began within a second, the first after %v, want 50 and one at once", len(starts), starts[0])
		}
		for i := range 49 {
			if apart := starts[i+1] - starts[i]; apart < distance {
				t.Errorf("two starts are %v apart, want at least %v", apart, distance)
			}
		}
	})
}

// TestUpdate keeps what stays, and lets no run of a key meet the one before.
func TestUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		m := NewMetadata(func(ctx context.Context, script string) ([]byte, error) {
			if script == "dies slowly" {
				return l.run(ctx, script, func(ctx context.Context) ([]byte, error) {
					<-ctx.Done()
					time.Sleep(2 * time.Second)
					return nil, ctx.Err()
				})
			}
			return l.run(ctx, script, print(script))
		})
		defer m.Close()
		stays := Description{Key: "stays", Script: "stays", Interval: 10 * time.Second}
		m.Update([]Description{
			stays,
			{Key: "slow", Script: "dies slowly", Interval: time.Minute},
			{Key: "changes", Script: "before", Interval: time.Minute},
			{Key: "goes", Script: "goes", Interval: time.Second},
		})
		time.Sleep(5 * time.Second)
		m.Update([]Description{
			{Key: "changes", Script: "after", Interval: time.Minute},
			{Key: "slow", Script: "replaced", Interval: time.Minute},
			stays,
		})
		before := len(l.of("goes"))
		time.Sleep(6 * time.Second)
		for script, want := range map[string][]time.Duration{
			"stays":    {0, 10 * time.Second},
			"after":    {5 * time.Second},
			"replaced": {7 * time.Second},
		} {
			if got := l.of(script); !slices.Equal(got, want) {
				t.Errorf("starts of the script %q = %v, want %v", script, got, want)
			}
		}
		if got := len(l.of("goes")); got != before {
			t.Errorf("a forgotten script ran %d times more", got-before)
		}
		results, _ := m.since(0)
		values := map[string]string{}
		for _, r := range results {
			values[r.Key] = r.Value
		}
		if want := (map[string]string{"stays": "stays", "changes": "after", "slow": "replaced"}); !maps.Equal(values, want) {
			t.Errorf("values = %v, want %v", values, want)
		}
	})
}

// TestReport has a server that is slow, then away.
func TestReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMetadata(func(_ context.Context, script string) ([]byte, error) { return []byte(script), nil })
		defer m.Close()
		m.Update([]Description{{Key: "once", Script: "1"}, {Key: "often", Script: "2", Interval: 10 * time.Second}})
		var calls [][]string
		send := func(fail func(context.Context) error) func(context.Context, []Result) error {
			return func(ctx context.Context, results []Result) error {
				var keys []string
				for _, r := range results {
					keys = append(keys, r.Key)
				}
				calls = append(calls, keys)
				return fail(ctx)
			}
		}
		away := errors.New("the server is away")
		err := m.Report(t.Context(), send(func(context.Context) error {
			time.Sleep(25 * time.Second) // results of this time are one
			if len(calls) == 3 {
				return away
			}
			return nil
		}))
		if !errors.Is(err, away) {
			t.Errorf("Report = %v, want %v", err, away)
		}
		began := time.Now()
		err = m.Report(t.Context(), send(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }))
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != gather+sendTimeout {
			t.Errorf("Report of a server that hangs = %v after %v, want its deadline after %v", err, took, gather+sendTimeout)
		}
		want := "[[once often] [often] [often] [once often]]"
		if got := fmt.Sprint(calls); got != want {
			t.Errorf("calls = %v, want %v", got, want)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := m.Report(ctx, send(func(context.Context) error { return nil })); !errors.Is(err, context.Canceled) {
			t.Errorf("Report that is ended = %v, want %v", err, context.Canceled)
		}
	})
}

// TestForgottenValues are not told while what runs for them takes its time to
// end, nor is how it ends.
func TestForgottenValues(t *testing.T) {
	for what, forget := range map[string]func(*Metadata){
		"Update": func(m *Metadata) { m.Update(nil) },
		"Close":  func(m *Metadata) { m.Close() },
	} {
		synctest.Test(t, func(t *testing.T) {
			runs := 0
			m := NewMetadata(func(ctx context.Context, _ string) ([]byte, error) {
				if runs++; runs > 1 {
					<-ctx.Done()
					time.Sleep(2 * time.Second)
				}
				return nil, ctx.Err()
			})
			defer m.Close()
			m.Update([]Description{{Key: "a", Interval: 10 * time.Second, Timeout: time.Minute}})
			time.Sleep(15 * time.Second)
			if results, _ := m.since(0); len(results) != 1 {
				t.Fatalf("results = %+v, want that of the first run", results)
			}
			go forget(m)
			for range 3 {
				synctest.Wait()
				if results, _ := m.since(0); len(results) != 0 {
					t.Errorf("results after %s = %+v, want none", what, results)
				}
				time.Sleep(time.Second)
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			if len(m.values) != 0 {
				t.Errorf("values that have ended after %s = %v, want none", what, m.values)
			}
		})
	}
}

// TestClose may be called twice, and nothing begins after it.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		m := NewMetadata(func(ctx context.Context, script string) ([]byte, error) { return l.run(ctx, script, hang) })
		m.Update([]Description{{Key: "a", Script: "a", Interval: time.Minute}})
		synctest.Wait()
		m.Close()
		m.Close()
		m.Update([]Description{{Key: "b", Script: "b"}})
		time.Sleep(time.Minute)
		if len(l.of("a")) != 1 || len(l.of("b")) != 0 {
			t.Errorf("starts = %v, want one of a", l.starts)
		}
	})
}
