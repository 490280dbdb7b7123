//go:build linux

package pty

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func login(l Login) func(context.Context) (Login, error) {
	return func(context.Context) (Login, error) { return l, nil }
}

func TestTwoViewersTypeAndSee(t *testing.T) {
	l := newLab(t, Config{})
	id := uuid.New()
	a, b := l.open(t, Init{ID: id}), l.open(t, Init{ID: id})
	a.types(t, "echo from-$((0+1))\n")
	b.sees(t, "from-1")
	b.types(t, "echo from-$((1+1))\n")
	a.sees(t, "from-2")
	b.sees(t, "from-2")
	if info, ok := l.info(id); !ok || info.Viewers != 2 {
		t.Errorf("List says %+v, want 2 viewers", info)
	}
}

func TestSizePolicies(t *testing.T) {
	for policy, want := range map[SizePolicy][]string{
		SizeLastActive: {"100x40", "60x50", "100x40", "90x20", "90x20"},
		SizeSmallest:   {"100x40", "60x40", "60x40", "60x20", "90x20"},
	} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			l := newLab(t, Config{Size: policy})
			id := uuid.New()
			size := func(i int) {
				t.Helper()
				eventually(t, fmt.Sprintf("size %d, %s", i, want[i]), func() bool {
					info, _ := l.info(id)
					return fmt.Sprintf("%dx%d", info.Width, info.Height) == want[i]
				})
			}
			a := l.open(t, Init{ID: id, Width: 100, Height: 40})
			size(0)
			b := l.open(t, Init{ID: id, Width: 60, Height: 50})
			size(1)
			a.types(t, " ")
			size(2)
			if err := a.Resize(90, 20); err != nil {
				t.Fatal(err)
			}
			size(3)
			_ = b.Close()
			l.viewers(t, id, 1)
			size(4)
			a.types(t, "stty size\n")
			a.sees(t, "20 90")
		})
	}
}

// TestReturnToOldSize lets a viewer come back to life whose terminal has shown
// what was meant for another size.
func TestReturnToOldSize(t *testing.T) {
	l := newLab(t, Config{})
	id := uuid.New()
	a := l.open(t, Init{ID: id, Width: 40, Height: 10})
	b := l.open(t, Init{ID: id, Width: 80, Height: 24})
	b.types(t, "printf \"\\e[20;60Hfar$((1))\"\n")
	a.sees(t, "far1")
	a.types(t, "clear; printf \"\\e[3;5Hnear$((1))\"\n")
	a.sees(t, "near1")
	eventually(t, "the right screen", func() bool { return a.snapshot() == string(l.all[id].snapshotForTest()) })
}

// fedForTest returns how many bytes the program has printed.
func (t *terminal) fedForTest() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.printed
}

func (t *terminal) snapshotForTest() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.screen.Snapshot()
}

// TestSlowViewer has one viewer that does not read: it must hold up neither the
// program nor another viewer, and see the end when it reads again.
func TestSlowViewer(t *testing.T) {
	l := newLab(t, Config{})
	id := uuid.New()
	quick := l.open(t, Init{ID: id, Command: "read go; seq 1 2000000; echo all$((1))done; read end"})
	l.viewers(t, id, 1)
	slow := l.dial(t, Init{ID: id, MustExist: true})
	l.viewers(t, id, 2)
	quick.types(t, "go\n")
	quick.sees(t, "all1done")
	slow.watch(t)
	slow.sees(t, "all1done")
	if n := l.Counters().Resynced; n == 0 {
		t.Errorf("viewers resynced = %d, want some", n)
	}
	quick.types(t, "x")
	slow.until(t, "the same screen", func() bool {
		return strings.Contains(string(slow.screen.Snapshot()), "all1done\r\nx")
	})
	if got, want := slow.snapshot(), string(l.all[id].snapshotForTest()); got != want {
		t.Errorf("slow viewer has screen %q, want %q", tail(got), tail(want))
	}
}

// TestFloodWithoutViewers lets yes run: it is read at full speed, in bounded
// memory, and obeys whoever comes.
func TestFloodWithoutViewers(t *testing.T) {
	l := newLab(t, Config{})
	id := uuid.New()
	w := l.open(t, Init{ID: id, Command: "trap 'echo stop$((1))ped; read x' INT; yes $(seq -s, 30)"})
	w.sees(t, "30\r\n1,2")
	_ = w.Close()
	l.viewers(t, id, 0)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	term := l.all[id]
	start := term.fedForTest()
	eventually(t, "20,000 more lines", func() bool { return term.fedForTest() > start+20_000*80 })
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("heap grew by %d bytes, want 4 MiB at most", grown)
	}
	w = l.open(t, Init{ID: id})
	w.types(t, "\x03")
	w.sees(t, "stop1ped")
}

// TestProgramThatDoesNotRead is typed at by one viewer: another still sees what
// it prints, and both can leave.
func TestProgramThatDoesNotRead(t *testing.T) {
	l := newLab(t, Config{})
	id := uuid.New()
	w := l.open(t, Init{ID: id, Command: "stty raw -echo; echo ready; while :; do echo tick; sleep 0.02; done"})
	w.sees(t, "ready")
	typing := make(chan struct{})
	go func() {
		defer close(typing)
		_, _ = w.Write([]byte(strings.Repeat("x", 16<<20)))
	}()
	other := l.open(t, Init{ID: id})
	n := strings.Count(other.output(), "tick")
	other.until(t, "ticks", func() bool { return strings.Count(other.all.String(), "tick") > n+20 })
	_ = w.Close()
	<-typing
	l.viewers(t, id, 1)
	if err := l.Kill(id); err != nil {
		t.Fatal(err)
	}
	other.eof(t)
}

// TestExactlyOneAnswer asks where the cursor is, with no viewer and with some.
func TestExactlyOneAnswer(t *testing.T) {
	l := newLab(t, Config{})
	id := uuid.New()
	ask := `stty raw -echo; n=0; while read -rs -d g; do printf '\r\n\e[6n'; IFS= read -rs -d R a; n=$((n+1)); ` +
		`IFS= read -rs -t 0.3 -d R b; printf 'answer %d %q and %q.' $n "$a" "$b"; done`
	first := l.open(t, Init{ID: id, Command: ask})
	first.types(t, "g")
	first.sees(t, "answer 1")
	others := []*watcher{l.open(t, Init{ID: id}), l.open(t, Init{ID: id})}
	first.types(t, "g")
	first.sees(t, "answer 2")
	for _, w := range append(others, first) {
		w.sees(t, "and ''.")
		_ = w.Close()
	}
	l.viewers(t, id, 0)
	before := l.Counters().Answered
	l.all[id].input <- []byte("g")
	eventually(t, "the screen's answer", func() bool { return strings.Contains(string(l.all[id].snapshotForTest()), "answer 3") })
	shot := string(l.all[id].snapshotForTest())
	if got := strings.Count(shot, "and ''."); got != 3 {
		t.Errorf("screen %q has %d single answers, want 3", shot, got)
	}
	if n := l.Counters().Answered - before; n != 1 {
		t.Errorf("the screen answered %d times while nobody looked, want once", n)
	}
}

// lasting is a connection that outlives breaks.
type lasting struct {
	net.Conn
	connected bool
}

func (c lasting) Connected() bool { return c.connected }

func TestViewerThatIsAwayIsNotAsked(t *testing.T) {
	for _, test := range []struct {
		conn net.Conn
		away bool
	}{{lasting{connected: false}, true}, {lasting{connected: true}, false}, {&net.TCPConn{}, false}} {
		v := newViewer(test.conn, Init{})
		if got := v.behind(); got != test.away {
			t.Errorf("viewer by %+v is not to be asked: %v, want %v", test.conn, got, test.away)
		}
	}
}

func TestLimits(t *testing.T) {
	l := newLab(t, Config{Terminals: 2, Viewers: 2})
	a, b := uuid.New(), uuid.New()
	refused := func(why string, init Init) {
		t.Helper()
		w := l.open(t, init)
		w.eof(t)
		if !strings.Contains(w.output(), why) {
			t.Errorf("viewer saw %q, want %q", w.output(), why)
		}
	}
	l.open(t, Init{ID: a}).ready(t)
	refused("no such terminal", Init{ID: uuid.New(), MustExist: true})
	refused("containers are not supported", Init{ID: uuid.New(), Container: "web"})
	l.open(t, Init{ID: b}).ready(t)
	refused("too many terminals", Init{ID: uuid.New()})
	l.open(t, Init{ID: a}).ready(t)
	refused("too many viewers", Init{ID: a})
	if got := l.Counters(); got.Refused != 4 || got.Active != 2 || got.ActiveViewers != 3 {
		t.Errorf("Counters = %+v, want 4 refused, 2 terminals, 3 viewers", got)
	}
}

func TestEndedTerminalsMakeRoom(t *testing.T) {
	l := newLab(t, Config{Terminals: 1})
	old := uuid.New()
	w := l.open(t, Init{ID: old, Command: "read x; exit"})
	w.types(t, "x")
	w.sees(t, "x")
	_ = w.Close()
	l.viewers(t, old, 0)
	l.all[old].input <- []byte("\n")
	eventually(t, "the end", func() bool { info, _ := l.info(old); return info.Ended })
	l.open(t, Init{ID: uuid.New()}).ready(t)
	if _, there := l.info(old); there {
		t.Error("the ended terminal is still there, want room for another")
	}
}

// TestCloseDoesNotWaitForViewers closes with one that takes nothing and one that
// has said nothing.
func TestCloseDoesNotWaitForViewers(t *testing.T) {
	l := newLab(t, Config{})
	id := uuid.New()
	l.dial(t, Init{ID: id, Command: "yes"})
	l.viewers(t, id, 1)
	eventually(t, "a full connection", func() bool { return l.Counters().Resynced > 0 })
	if err := l.Close(); err != nil {
		t.Errorf("Close = %v, want nil", err)
	}
	if err := l.Kill(id); !errors.Is(err, ErrNotFound) {
		t.Errorf("Kill after Close = %v, want %v", err, ErrNotFound)
	}
}
