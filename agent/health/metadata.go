package health

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	// defaultTimeout is what a script has that says neither how long it may run
	// nor how often it should (reference: agent §5).
	defaultTimeout = 3 * time.Second
	// distance is that between the starts of two scripts: fifty of them begin
	// within a second and not in one moment.
	distance = 20 * time.Millisecond
)

// Description says what is found out, and how.
type Description struct {
	Key    string // by which the server knows it
	Script string // its text

	// Interval is the time from one start to the next, at least a second; 0 is
	// for a script that runs once.
	Interval time.Duration
	// Timeout is how long a run may take; 0 means Interval, or 3 s without one.
	Timeout time.Duration
}

func (d Description) interval() time.Duration { return max(d.Interval, minInterval) }

func (d Description) timeout() time.Duration {
	if d.Interval > 0 {
		return cmp.Or(d.Timeout, d.interval())
	}
	return cmp.Or(d.Timeout, defaultTimeout)
}

// Result is what one run has found out.
type Result struct {
	Key         string
	CollectedAt time.Time // when the run ended
	Value       string    // what it printed, UTF-8 without the end of the last line
	Error       string    // why Value may not be all or right, else ""
}

// Metadata runs the scripts of a workspace's metadata. Its methods may be
// called concurrently.
type Metadata struct {
	run     func(ctx context.Context, script string) ([]byte, error)
	starts  gate
	running sync.WaitGroup // one per value
	changed bell           // rung after each run and each Update

	mu     sync.Mutex // guards below
	values map[string]*value
	runs   uint64 // that have ended
	closed bool
}

// value is one that is found out.
type value struct {
	Description
	stop  func()
	ended chan struct{} // closed when nothing runs for it any more

	// Guarded by Metadata.mu.
	gone   bool // not to be told; it stays in the map until nothing runs
	result Result
	run    uint64 // of result, among those of all values; 0 before the first
}

// NewMetadata returns a Metadata that runs nothing yet. Close it. Run runs one
// script, a Shell's for example; it returns what the script printed, also
// together with an error, soon after ctx ends.
func NewMetadata(run func(ctx context.Context, script string) ([]byte, error)) *Metadata {
	return &Metadata{run: run, values: map[string]*value{}}
}

// Update sets what is found out and returns at once. Keys that are not in it
// are forgotten, those that are new or changed begin at once, the others go on.
// Of two with the same key the first counts.
func (m *Metadata) Update(descriptions []Description) {
	wanted := map[string]Description{}
	for _, d := range descriptions {
		if _, twice := wanted[d.Key]; !twice {
			wanted[d.Key] = d
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	for key, v := range m.values {
		if d, is := wanted[key]; !is || d != v.Description {
			v.gone = true
			v.stop()
		}
	}
	for _, d := range descriptions {
		if v := m.values[d.Key]; v == nil || v.gone {
			m.beginLocked(wanted[d.Key], v)
		}
	}
	m.changed.ring()
}

// beginLocked follows a value, after the one that had its key before.
func (m *Metadata) beginLocked(d Description, before *value) {
	ctx, stop := context.WithCancel(context.Background())
	v := &value{Description: d, stop: stop, ended: make(chan struct{})}
	m.values[d.Key] = v
	first := m.starts.turn()
	m.running.Go(func() {
		if before != nil {
			<-before.ended
		}
		m.follow(ctx, v, first)
		close(v.ended)
		m.forget(v)
	})
}

// follow runs the script of a value at its turn, then again and again until ctx
// ends.
func (m *Metadata) follow(ctx context.Context, v *value, turn time.Time) {
	for sleep(ctx, time.Until(turn)) == nil {
		next := time.Now().Add(v.interval())
		m.collect(ctx, v)
		if v.Interval == 0 {
			<-ctx.Done()
			return
		}
		if sleep(ctx, time.Until(next)) != nil {
			return
		}
		turn = m.starts.turn()
	}
}

// collect runs the script of a value once.
func (m *Metadata) collect(ctx context.Context, v *value) {
	limit := v.timeout()
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("ended after %v, its time", limit))
	defer cancel()
	out, err := m.run(ctx, v.Script)
	r := Result{
		Key: v.Key, CollectedAt: time.Now(),
		Value: strings.ToValidUTF8(strings.TrimRight(string(out), "\r\n"), string(utf8.RuneError)),
	}
	if err != nil {
		r.Error = err.Error()
	}
	m.store(v, r)
}

func (m *Metadata) store(v *value, r Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.runs++
	v.result, v.run = r, m.runs
	m.changed.ring()
}

// forget drops a value that has ended, unless its key has a new one.
func (m *Metadata) forget(v *value) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values[v.Key] == v {
		delete(m.values, v.Key)
	}
}

// since returns the results of runs after a given one, oldest first, and the
// last run there was.
func (m *Metadata) since(run uint64) (results []Result, last uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []*value
	for _, v := range m.values {
		if !v.gone && v.run > run {
			found = append(found, v)
		}
	}
	slices.SortFunc(found, func(a, b *value) int { return cmp.Compare(a.run, b.run) })
	for _, v := range found {
		results = append(results, v.result)
	}
	return results, m.runs
}

// Report calls send with results until ctx ends or send returns an error, which
// it returns: first with those of all keys that have one, then with those of
// keys whose script has run again since. There is one call at a time, and one
// in a second at most; its context ends after 30 s.
func (m *Metadata) Report(ctx context.Context, send func(context.Context, []Result) error) error {
	var told uint64
	news := func() bool {
		results, _ := m.since(told)
		return len(results) > 0
	}
	return report(ctx, &m.changed, news, func(ctx context.Context) error {
		results, last := m.since(told)
		if len(results) > 0 {
			if err := send(ctx, results); err != nil {
				return fmt.Errorf("report metadata: %w", err)
			}
		}
		told = last
		return nil
	})
}

// Close ends what runs and waits for its end. It may be called twice.
func (m *Metadata) Close() error {
	m.mu.Lock()
	m.closed = true
	for _, v := range m.values {
		v.gone = true
		v.stop()
	}
	m.mu.Unlock()
	m.running.Wait()
	return nil
}

// gate gives turns that are a distance apart. The zero value gives one at once.
type gate struct {
	mu   sync.Mutex
	next time.Time
}

// turn takes the next one and returns when it is.
func (g *gate) turn() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	turn := time.Now()
	if g.next.After(turn) {
		turn = g.next
	}
	g.next = turn.Add(distance)
	return turn
}
