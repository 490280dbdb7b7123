//go:build linux

package pty

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestLoginShellInTerminal(t *testing.T) {
	l := newLab(t, Config{})
	w := l.open(t, Init{ID: uuid.New(), Width: 100, Height: 30})
	w.types(t, "echo \"[$0 $TERM $PWD]\" $(stty size); test -t 0 && ps -o tty= $$ && exit 3\n")
	w.sees(t, fmt.Sprintf("[-bash xterm-256color %s] 30 100", l.home))
	w.eof(t)
}

// TestVimSurvives keeps an editor while viewers come and go.
func TestVimSurvives(t *testing.T) {
	l := newLab(t, Config{})
	file := filepath.Join(l.home, "file")
	id := uuid.New()
	init := Init{ID: id, Command: "vim -n --clean " + file}
	for i := range 20 {
		w := l.open(t, init)
		if i == 0 {
			w.sees(t, "[New")
			w.types(t, "i")
		}
		w.types(t, fmt.Sprintf("text %d✅\r", i))
		w.until(t, "the text", func() bool { return strings.Contains(string(w.screen.Snapshot()), fmt.Sprintf("text %d✅", i)) })
		if i > 0 {
			w.until(t, "the text before", func() bool { return strings.Contains(string(w.screen.Snapshot()), fmt.Sprintf("text %d✅", i-1)) })
		}
		_ = w.Close()
		l.viewers(t, id, 0)
	}
	w := l.open(t, init)
	w.types(t, "\x1b:wq\r")
	w.eof(t)
	l.gone(t, id)
	got, err := os.ReadFile(file)
	if err != nil || strings.Count(string(got), "✅") != 20 {
		t.Errorf("vim wrote %q, %v; want 20 lines", got, err)
	}
	if n := l.Counters().Started; n != 1 {
		t.Errorf("programs started = %d, want 1", n)
	}
}

// TestNothingIsLostOrDoubled attaches while a program counts: the number of
// lines on each viewer's screen must be exact.
func TestNothingIsLostOrDoubled(t *testing.T) {
	l := newLab(t, Config{Queue: 8 << 20})
	id := uuid.New()
	const last = 9000
	first := l.open(t, Init{ID: id, Command: fmt.Sprintf("echo ready; read go; for ((i=1;i<=%d;i++)); do echo \"number $i .\"; done; echo fin; read end", last)})
	first.sees(t, "ready")
	first.types(t, "go\n")
	viewers := []*watcher{first}
	for i := range 8 {
		first.sees(t, fmt.Sprintf("number %d .", (i+1)*1000))
		viewers = append(viewers, l.open(t, Init{ID: id}))
	}
	want := 0
	first.sees(t, "fin\r\n")
	for line := range strings.Lines(first.output()) {
		if n, ok := numbered(line); ok {
			if want++; n != want {
				at := strings.Index(first.output(), line)
				t.Fatalf("the first viewer saw number %d, want %d: %q", n, want, first.output()[max(0, at-100):at+50])
			}
		}
	}
	for i, w := range viewers[1:] {
		w.until(t, "the end", func() bool { return strings.Contains(string(w.screen.Snapshot()), "fin\r\n") })
		if got, want := w.snapshot(), first.snapshot(); got != want {
			t.Errorf("viewer %d has screen %q, want %q", i+1, tail(got), tail(want))
		}
	}
}

func numbered(line string) (n int, ok bool) {
	at := strings.Index(line, "number ")
	if at < 0 {
		return 0, false
	}
	_, err := fmt.Sscanf(line[at:], "number %d .", &n)
	return n, err == nil
}

func TestEndIsSeen(t *testing.T) {
	l := newLab(t, Config{})
	id := uuid.New()
	w := l.open(t, Init{ID: id, Command: "seq 1000; echo good$((1))bye; exit 3"})
	w.eof(t)
	if !strings.Contains(w.output(), "1000\r\ngood1bye\r\n") {
		t.Errorf("viewer saw %q, want all up to good1bye", tail(w.output()))
	}
	l.gone(t, id)
}

// TestEndWithoutViewersIsKept lets a program end while nobody looks: who comes
// later sees how.
func TestEndWithoutViewersIsKept(t *testing.T) {
	l := newLab(t, Config{})
	id := uuid.New()
	init := Init{ID: id, Command: "read x; echo the result; exit 7"}
	w := l.open(t, init)
	w.types(t, "x")
	w.sees(t, "x")
	// The line ends after the viewer has gone: a background process types it.
	l.viewers(t, id, 1)
	_ = w.Close()
	l.viewers(t, id, 0)
	l.all[id].input <- []byte("\n")
	eventually(t, "the end", func() bool { info, _ := l.info(id); return info.Ended })
	if info, _ := l.info(id); info.ExitCode != 7 || l.Counters().Active != 0 {
		t.Errorf("List says %+v, want exit code 7", info)
	}
	w = l.open(t, init)
	w.sees(t, "the result")
	w.eof(t)
	l.gone(t, id)
}

// TestOutputOfWhatIsLeftBehind ends a shell whose child holds the terminal open.
func TestOutputOfWhatIsLeftBehind(t *testing.T) {
	l := newLab(t, Config{})
	w := l.open(t, Init{ID: uuid.New(), Command: "(trap '' HUP; sleep 60) & echo done"})
	w.sees(t, "done")
	w.eof(t)
}

func TestKill(t *testing.T) {
	l := newLab(t, Config{})
	polite, stubborn := uuid.New(), uuid.New()
	w := l.open(t, Init{ID: polite, Command: "trap 'echo hung up; exit 1' HUP; echo ready; while :; do sleep 0.05; done"})
	w.sees(t, "ready")
	s := l.open(t, Init{ID: stubborn, Command: "trap '' HUP TERM; echo ready; while :; do sleep 0.05; done"})
	s.sees(t, "ready")
	for _, id := range []uuid.UUID{polite, stubborn} {
		if err := l.Kill(id); err != nil {
			t.Errorf("Kill = %v, want nil", err)
		}
	}
	w.sees(t, "hung up")
	w.eof(t)
	s.eof(t)
	l.gone(t, polite)
	l.gone(t, stubborn)
	if err := l.Kill(polite); !errors.Is(err, ErrNotFound) {
		t.Errorf("Kill of what is gone = %v, want %v", err, ErrNotFound)
	}
}

func TestMissingShell(t *testing.T) {
	l := newLab(t, Config{Login: login(Login{Shell: "/no/such/shell"})})
	w := l.open(t, Init{ID: uuid.New()})
	w.eof(t)
	if want := "start /no/such/shell: "; !strings.Contains(w.output(), want) {
		t.Errorf("viewer saw %q, want %q", w.output(), want)
	}
	if got := l.List(); len(got) != 0 {
		t.Errorf("List = %v, want none", got)
	}
}

// TestKeep gives time by hand.
func TestKeep(t *testing.T) {
	l := newLab(t, Config{Keep: time.Hour})
	clock := &handClock{}
	l.afterFunc = clock.afterFunc
	id := uuid.New()
	w := l.open(t, Init{ID: id})
	w.types(t, "echo rea$((1))dy\n")
	w.sees(t, "rea1dy")
	if n := clock.waiting(); n != 0 {
		t.Errorf("timers while somebody looks = %d, want 0", n)
	}
	_ = w.Close()
	l.viewers(t, id, 0)
	w = l.open(t, Init{ID: id, MustExist: true})
	w.sees(t, "rea1dy")
	clock.fire() // those that were stopped do nothing
	w.types(t, "echo still he$((1))re\n")
	w.sees(t, "still he1re")
	_ = w.Close()
	l.viewers(t, id, 0)
	eventually(t, "a timer", func() bool { return clock.waiting() == 1 })
	clock.fire()
	l.gone(t, id)
	if n := l.Counters().Expired; n != 1 {
		t.Errorf("terminals expired = %d, want 1", n)
	}
}

// handClock fires timers when it is told to.
type handClock struct {
	mu     sync.Mutex
	timers []*handTimer
}

type handTimer struct {
	clock   *handClock
	f       func()
	stopped bool
}

func (c *handClock) afterFunc(_ time.Duration, f func()) stopper {
	c.mu.Lock()
	defer c.mu.Unlock()
	timer := &handTimer{clock: c, f: f}
	c.timers = append(c.timers, timer)
	return timer
}

func (t *handTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	t.stopped = true
	return true
}

func (c *handClock) waiting() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, timer := range c.timers {
		if !timer.stopped {
			n++
		}
	}
	return n
}

// fire calls all, those that were stopped too, as a timer may fire just then.
func (c *handClock) fire() {
	c.mu.Lock()
	timers := c.timers
	c.timers = nil
	c.mu.Unlock()
	for _, timer := range timers {
		timer.f()
	}
}
