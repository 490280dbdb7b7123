package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/agent/proto"
)

const (
	initializing = proto.WorkspaceApp_INITIALIZING
	healthy      = proto.WorkspaceApp_HEALTHY
	unhealthy    = proto.WorkspaceApp_UNHEALTHY
)

func TestVerdict(t *testing.T) {
	for _, tc := range []struct {
		answers string // + and - for each question
		want    State
	}{
		{"", initializing},
		{"+", healthy},
		{"--", initializing},
		{"---", unhealthy},
		{"--+", healthy},
		{"+--", healthy},
		{"+---", unhealthy},
		{"+--+--", healthy},
		{"-----+", healthy},
		{"-----+--", healthy},
		{"---------", unhealthy},
	} {
		v := verdict{state: initializing}
		for _, answer := range tc.answers {
			v = v.after(answer == '+', 2)
		}
		if v.state != tc.want {
			t.Errorf("state after %q with a threshold of 2 = %v, want %v", tc.answers, v.state, tc.want)
		}
	}
}

// server is one that answers as its paths say.
func server(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	for path, status := range map[string]int{"/ok": 200, "/missing": 404, "/forbidden": 403, "/broken": 500, "/away": 503} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/broken", http.StatusFound) })
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/password", func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "secret" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// silence is the address of one who takes connections and says nothing.
func silence(t *testing.T) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			reading.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(io.Discard, conn)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		reading.Wait()
	})
	return ln.Addr().String()
}

// refused is an address at which nobody listens.
func refused(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// TestAnswers asks real servers.
func TestAnswers(t *testing.T) {
	s := server(t)
	a := NewApps()
	defer a.Close()
	var wait sync.WaitGroup
	for url, want := range map[string]bool{
		s.URL + "/ok":                 true,
		s.URL + "/missing":            true,
		s.URL + "/forbidden":          true,
		s.URL + "/redirect":           true,
		s.URL + "/endless":            true,
		s.URL + "/broken":             false,
		s.URL + "/away":               false,
		s.URL + "/hang":               false,
		"http://" + silence(t):        false,
		"https://" + silence(t):       false,
		"http://" + refused(t):        false,
		"http://no.such.host.invalid": false,
		"http://me:secret@" + s.Listener.Addr().String() + "/password": true,
		"ftp://127.0.0.1/": false,
		"%":                false,
	} {
		wait.Go(func() {
			if got := a.answers(t.Context(), App{URL: url, Interval: minInterval}); got != want {
				t.Errorf("answers(%s) = %v, want %v", url, got, want)
			}
		})
	}
	wait.Wait()
}

// TestHealthOfServers reports real ones, as the agent would.
func TestHealthOfServers(t *testing.T) {
	s := server(t)
	a := NewApps()
	defer a.Close()
	app := func(url string) App {
		return App{ID: uuid.New(), URL: url, Interval: time.Second, Threshold: 1}
	}
	good, bad, gone, unchecked := app(s.URL+"/ok"), app(s.URL+"/broken"), app("http://"+refused(t)), app("")
	a.Update([]App{good, bad, gone, unchecked})
	want := map[uuid.UUID]State{good.ID: healthy, bad.ID: unhealthy, gone.ID: unhealthy}
	done := errors.New("enough")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got map[uuid.UUID]State
	err := a.Report(ctx, func(_ context.Context, states map[uuid.UUID]State) error {
		if got = states; maps.Equal(states, want) {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Errorf("Report = %v, with the last states %v, want %v", err, got, want)
	}
}

// pipes is a server in virtual time, whose connections are in memory.
type pipes struct {
	mu       sync.Mutex
	status   int // that it answers with; 0 is never
	asked    atomic.Int64
	answered sync.WaitGroup
}

func (p *pipes) set(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	p.answered.Go(func() {
		defer theirs.Close()
		p.asked.Add(1)
		p.mu.Lock()
		status := p.status
		p.mu.Unlock()
		buf := make([]byte, 1024)
		for {
			if _, err := theirs.Read(buf); err != nil {
				return
			}
			if status != 0 {
				fmt.Fprintf(theirs, "HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n", status)
				return
			}
		}
	})
	return ours, nil
}

// TestHealthOverTime has an app that starts, hangs and comes back.
func TestHealthOverTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{status: 502}
		a := NewApps()
		a.dial = p.dial
		defer p.answered.Wait()
		defer a.Close()
		app := App{ID: uuid.New(), URL: "http://127.0.0.1:80/", Interval: 5 * time.Second, Threshold: 2}
		a.Update([]App{app})
		at := func(d time.Duration, want State) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if states, _ := a.states(); len(states) != 1 || states[app.ID] != want {
				t.Errorf("states after %d questions = %v, want %v", p.asked.Load(), states, want)
			}
		}
		at(0, initializing)
		at(6*time.Second, initializing)
		at(5*time.Second, unhealthy) // after the third question
		p.set(200)
		at(5*time.Second, healthy)
		p.set(0)
		a.Update([]App{app})        // changes nothing
		at(15*time.Second, healthy) // the third question has been asked, and waits
		at(3998*time.Millisecond, healthy)
		at(time.Millisecond, unhealthy)
		if got := p.asked.Load(); got != 7 {
			t.Errorf("%d questions in 35 s, want one in 5 s", got)
		}
		app.Threshold = 3
		a.Update([]App{app})
		at(0, initializing)
		a.Update(nil)
		if states, _ := a.states(); len(states) != 0 {
			t.Errorf("states without apps = %v, want none", states)
		}
	})
}

// TestReportOfHealth tells all states at first, and all when one has changed.
func TestReportOfHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{status: 200}
		a := NewApps()
		a.dial = p.dial
		defer p.answered.Wait()
		defer a.Close()
		app, other := App{ID: uuid.New(), URL: "http://127.0.0.1:80/", Interval: 10 * time.Second, Threshold: 1}, uuid.New()
		var calls []string
		ctx, cancel := context.WithCancel(t.Context())
		report := func() {
			_ = a.Report(ctx, func(_ context.Context, states map[uuid.UUID]State) error {
				calls = append(calls, fmt.Sprint(len(states), " ", states[app.ID]))
				return nil
			})
		}
		var reporting sync.WaitGroup
		reporting.Go(report)
		time.Sleep(time.Minute) // no apps, no call
		a.Update([]App{app})
		time.Sleep(time.Minute)
		a.Update([]App{app, {ID: other, URL: app.URL, Interval: time.Minute, Threshold: 1}})
		time.Sleep(5 * time.Second)
		p.set(500)
		time.Sleep(time.Minute)
		cancel()
		reporting.Wait()
		ctx, cancel = context.WithCancel(t.Context())
		reporting.Go(report) // another session
		time.Sleep(5 * time.Second)
		cancel()
		reporting.Wait()
		want := "[1 HEALTHY 2 HEALTHY 2 UNHEALTHY 2 UNHEALTHY]"
		if got := fmt.Sprint(calls); got != want {
			t.Errorf("calls = %s, want %s", got, want)
		}
	})
}
