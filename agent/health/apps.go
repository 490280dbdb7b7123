package health

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/agent/proto"
)

// App is one whose health is found out.
type App struct {
	ID  uuid.UUID
	URL string // which is asked

	// Interval is the time between two questions, at least a second; each has a
	// millisecond less for its answer.
	Interval time.Duration
	// Threshold is how many failures in a row a healthy app may have.
	Threshold int
}

func (a App) interval() time.Duration { return max(a.Interval, minInterval) }

// checked reports whether the template wants the health of the app known.
func (a App) checked() bool { return a.URL != "" && a.Interval > 0 && a.Threshold > 0 }

// State is the health of one app.
type State = proto.WorkspaceApp_Health

// Apps asks apps how they are. Its methods may be called concurrently.
type Apps struct {
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	running sync.WaitGroup // one per app
	changed bell           // rung when states has changed

	mu      sync.Mutex // guards below
	apps    map[uuid.UUID]*probed
	changes uint64 // that the states have seen
	closed  bool
}

// probed is an app that is asked.
type probed struct {
	App
	stop func()

	// Guarded by Apps.mu.
	verdict
}

// verdict is what the answers of an app amount to.
type verdict struct {
	state    State
	failures int // in a row, up to the threshold
}

// after is the verdict once there was another answer, or none.
func (v verdict) after(answered bool, threshold int) verdict {
	switch {
	case answered:
		return verdict{state: proto.WorkspaceApp_HEALTHY}
	case v.failures < threshold:
		return verdict{v.state, v.failures + 1}
	}
	return verdict{proto.WorkspaceApp_UNHEALTHY, v.failures}
}

// NewApps returns an Apps that asks nobody yet. Close it.
func NewApps() *Apps {
	return &Apps{dial: new(net.Dialer).DialContext, apps: map[uuid.UUID]*probed{}}
}

// Update sets the apps and returns at once. Those that are not in it are
// forgotten, those that are new or changed begin as initializing, the others go
// on. Apps without a URL, interval or threshold have no health.
func (a *Apps) Update(apps []App) {
	wanted := map[uuid.UUID]App{}
	for _, app := range apps {
		if app.checked() {
			wanted[app.ID] = app
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	for id, p := range a.apps {
		if wanted[id] != p.App {
			p.stop()
			delete(a.apps, id)
			a.changedLocked()
		}
	}
	for id, app := range wanted {
		if a.apps[id] == nil {
			a.beginLocked(app)
		}
	}
}

func (a *Apps) beginLocked(app App) {
	ctx, stop := context.WithCancel(context.Background())
	p := &probed{App: app, stop: stop, verdict: verdict{state: proto.WorkspaceApp_INITIALIZING}}
	a.apps[app.ID] = p
	a.changedLocked()
	a.running.Go(func() { a.follow(ctx, p) })
}

func (a *Apps) changedLocked() {
	a.changes++
	a.changed.ring()
}

// follow asks an app until ctx ends.
func (a *Apps) follow(ctx context.Context, p *probed) {
	tick := time.NewTicker(p.interval())
	defer tick.Stop()
	for {
		answered := a.answers(ctx, p.App)
		if ctx.Err() != nil {
			return
		}
		a.note(p, answered)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (a *Apps) note(p *probed, answered bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := p.state
	p.verdict = p.after(answered, p.Threshold)
	if p.state != before {
		a.changedLocked()
	}
}

// answers reports whether an app answers in time, and not with an error of its
// own.
func (a *Apps) answers(ctx context.Context, app App) bool {
	ctx, cancel := context.WithTimeout(ctx, app.interval()-time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, app.URL, nil)
	if err != nil {
		return false
	}
	client := http.Client{
		Transport:     a.transport(ctx),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode < http.StatusInternalServerError
}

// transport is for one question: a connection that is kept would not show
// whether the app takes new ones. Its connections end with ctx: by itself a
// transport goes on with a dial or a TLS handshake that nobody waits for.
func (a *Apps) transport(ctx context.Context) *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
			conn, err := a.dial(ctx, network, address)
			if err == nil {
				context.AfterFunc(ctx, func() { _ = conn.Close() })
			}
			return conn, err
		},
	}
}

// states returns all states, and which change of them is the last.
func (a *Apps) states() (states map[uuid.UUID]State, last uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	states = make(map[uuid.UUID]State, len(a.apps))
	for id, p := range a.apps {
		states[id] = p.state
	}
	return states, a.changes
}

// Report calls send with the states of all apps, at first and after changes,
// until ctx ends or send returns an error, which it returns. There is one call
// at a time, and one in a second at most; its context ends after 30 s. Without
// apps there is none.
func (a *Apps) Report(ctx context.Context, send func(context.Context, map[uuid.UUID]State) error) error {
	var told uint64
	news := func() bool {
		states, last := a.states()
		return last > told && len(states) > 0
	}
	return report(ctx, &a.changed, news, func(ctx context.Context) error {
		states, last := a.states()
		if len(states) > 0 {
			if err := send(ctx, states); err != nil {
				return fmt.Errorf("report the health of apps: %w", err)
			}
		}
		told = last
		return nil
	})
}

// Close ends what runs and waits for its end. It may be called twice.
func (a *Apps) Close() error {
	a.mu.Lock()
	a.closed = true
	for _, p := range a.apps {
		p.stop()
	}
	a.mu.Unlock()
	a.running.Wait()
	return nil
}
