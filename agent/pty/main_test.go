//go:build linux

package pty

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/berthdev/berth/agent/pty/screen"
)

// TestMain catches SIGHUP as the agent does, lest programs inherit that it is
// ignored.
func TestMain(m *testing.M) {
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP)
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// lab is Terminals behind a listener on loopback.
type lab struct {
	*Terminals
	addr string
	home string
}

func newLab(t *testing.T, cfg Config) *lab {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatalf("this test needs bash: %v", err)
	}
	l := &lab{home: t.TempDir()}
	if cfg.Login == nil {
		cfg.Login = func(context.Context) (Login, error) {
			return Login{Shell: bash, Dir: l.home, Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + l.home, "PS1=$ ", "LC_ALL=C.UTF-8"}}, nil
		}
	}
	l.Terminals = New(cfg)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.addr = ln.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { _ = l.Serve(context.Background(), conn) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		if err := l.Close(); err != nil {
			t.Errorf("Close = %v, want nil", err)
		}
		serving.Wait()
	})
	return l
}

// watcher is a viewer with a terminal of its own to look at.
type watcher struct {
	*Client
	conn net.Conn

	mu     sync.Mutex
	all    bytes.Buffer
	screen *screen.Screen
	more   chan struct{} // closed when something has come
	ended  bool
	mute   bool // answers no questions
}

// dial opens a connection that reads nothing yet.
func (l *lab) dial(t *testing.T, init Init) *watcher {
	t.Helper()
	conn, err := net.Dial("tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	if init.Width == 0 {
		init.Width, init.Height = 80, 24
	}
	c, err := NewClient(conn, init)
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{Client: c, conn: conn, screen: screen.New(int(init.Width), int(init.Height)), more: make(chan struct{})}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// open opens a connection whose output is shown on the watcher's terminal.
func (l *lab) open(t *testing.T, init Init) *watcher {
	t.Helper()
	w := l.dial(t, init)
	w.watch(t)
	return w
}

func (w *watcher) watch(t *testing.T) {
	done := make(chan struct{})
	t.Cleanup(func() { _ = w.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 32<<10)
		for {
			n, err := w.Read(buf)
			w.take(buf[:n], err != nil)
			if err != nil {
				return
			}
		}
	}()
}

// take shows output as a terminal does, which answers questions.
func (w *watcher) take(output []byte, ended bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all.Write(output)
	for _, span := range w.screen.Feed(output) {
		if span.Query && !w.mute {
			_, _ = w.Write(span.Reply)
		}
	}
	w.ended = w.ended || ended
	close(w.more)
	w.more = make(chan struct{})
}

// until waits until the watcher's terminal is as it should be.
func (w *watcher) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		w.mu.Lock()
		ok, more := is(), w.more
		w.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("waited %v for %s; terminal printed %q", patience, what, tail(w.output()))
		}
	}
}

func tail(s string) string { return s[max(0, len(s)-2000):] }

// sees waits until text has been printed.
func (w *watcher) sees(t *testing.T, text string) {
	t.Helper()
	w.until(t, text, func() bool { return strings.Contains(w.all.String(), text) })
}

// eof waits until the server has closed.
func (w *watcher) eof(t *testing.T) {
	t.Helper()
	w.until(t, "the end", func() bool { return w.ended })
}

func (w *watcher) snapshot() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.screen.Snapshot())
}

func (w *watcher) output() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all.String()
}

func (w *watcher) types(t *testing.T, text string) {
	t.Helper()
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// eventually waits for what no connection tells of.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// info returns what List says of a terminal; false if it is not there.
func (l *lab) info(id uuid.UUID) (Info, bool) {
	for _, info := range l.List() {
		if info.ID == id {
			return info, true
		}
	}
	return Info{}, false
}

func (l *lab) gone(t *testing.T, id uuid.UUID) {
	t.Helper()
	eventually(t, "the terminal to be forgotten", func() bool { _, there := l.info(id); return !there })
}

func (l *lab) viewers(t *testing.T, id uuid.UUID, n int) {
	t.Helper()
	eventually(t, "the number of viewers", func() bool { info, _ := l.info(id); return info.Viewers == n })
}

// ready waits until a shell does what it is told.
func (w *watcher) ready(t *testing.T) {
	t.Helper()
	w.types(t, "echo rea$((1))dy\n")
	w.sees(t, "rea1dy")
}
