//go:build linux

package home

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// watching is a Watch that runs beside the test.
type watching struct {
	*lab
	logged chan Line
	stop   context.CancelFunc
	ended  chan Code
}

func (l *lab) watch() *watching {
	l.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	w := &watching{lab: l, logged: make(chan Line, 1000), stop: stop, ended: make(chan Code, 1)}
	cfg := l.cfg
	cfg.Log = func(line Line) { w.logged <- line }
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.ended <- Watch(ctx, cfg)
	}()
	l.t.Cleanup(func() { stop(); <-ended })
	return w
}

// sees waits for a line.
func (w *watching) sees(action Action, path string) Line {
	w.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case line := <-w.logged:
			if line.Action == action && line.Path == path {
				return line
			}
		case <-deadline:
			w.t.Fatalf("Watch did not log %s of %s", action, path)
		}
	}
}

func TestWatchTakesBack(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".rc", "deep/er/rc", ".moved", ".dir/")
	for _, name := range []string{".rc", "deep/er/rc", ".moved"} {
		l.volume(name, "one\n")
	}
	l.apply(OK)
	w := l.watch()
	within := func(name, script, want string) {
		t.Helper()
		cmd := exec.Command("sh", "-c", script)
		cmd.Dir = l.cfg.Home
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
		begun := time.Now()
		w.sees(Folded, name)
		if took := time.Since(begun); took > time.Second {
			t.Errorf("%s was taken back after %v, want a second at most", name, took)
		}
		l.linked(name)
		l.volumeHas(name, want)
	}
	within(".rc", "sed -i s/one/two/ .rc", "two\n")
	within(".rc", "sed -i s/two/three/ .rc", "three\n")
	within("deep/er/rc", "sed -i s/one/two/ deep/er/rc", "two\n")
	within(".moved", "echo two > x && mv x .moved", "two\n")
	within(".moved", "rm .moved && echo three > .moved", "three\n")
	within(".rc", "for i in 1 2 3 4 5 6 7 8 9; do echo $i > x && mv x .rc; done", "9\n")
	w.stop()
	if code := <-w.ended; code != OK {
		t.Errorf("Watch = %d in the end, want %d", code, OK)
	}
	l.tidied()
}

// TestWatchWaitsForWriters does not take back half a file.
func TestWatchWaitsForWriters(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".rc", ".other")
	l.volume(".rc", "one")
	l.volume(".other", "one")
	l.apply(OK)
	w := l.watch()
	must(t, os.Remove(filepath.Join(l.cfg.Home, ".rc")))
	f, err := os.Create(filepath.Join(l.cfg.Home, ".rc"))
	must(t, err)
	_, err = f.WriteString("half ")
	must(t, err)
	l.rename(".other", "two")
	w.sees(Folded, ".other")
	l.volumeHas(".rc", "one")
	_, err = f.WriteString("whole")
	must(t, err)
	must(t, f.Close())
	w.sees(Folded, ".rc")
	l.volumeHas(".rc", "half whole")
}

// TestWatchFoldsInTheEnd takes back what is there when it ends, and began before
// it: also what is open.
func TestWatchFoldsInTheEnd(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".rc", ".dir/", ".open")
	l.volume(".rc", "one")
	l.apply(OK)
	l.rename(".rc", "two")
	w := l.watch()
	w.sees(Folded, ".rc")
	must(t, os.Remove(filepath.Join(l.cfg.Home, ".dir")))
	l.home(".dir/x", "X")
	l.rename(".open", "O")
	f, err := os.OpenFile(filepath.Join(l.cfg.Home, ".open"), os.O_WRONLY, 0)
	must(t, err)
	defer f.Close()
	w.stop()
	if code := <-w.ended; code != OK {
		t.Errorf("Watch = %d in the end, want %d", code, OK)
	}
	l.linked(".dir")
	l.backedUp(".dir", "home/x", "X")
	l.linked(".open")
	l.volumeHas(".open", "O")
	l.tidied()
}

// TestWatchLeavesWhatIsNotIts: a file that was never a link, and one without a
// declaration.
func TestWatchLeavesWhatIsNotIts(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".rc", ".file")
	l.volume(".rc", "one")
	l.apply(OK)
	l.declare("late", Owner, ".late")
	w := l.watch()
	l.rename(".late", "L")
	l.rename(".unknown", "U")
	l.rename(".rc", "two")
	w.sees(Folded, ".rc")
	l.homeHas(".late", "L")
	l.homeHas(".unknown", "U")
	l.volumeHas(".late", "")
	w.stop()
	<-w.ended
	l.volumeHas(".late", "L") // what is declared is saved in the end
	l.homeHas(".unknown", "U")
}

func TestWatchCannotBegin(t *testing.T) {
	l := newLab(t, "")
	if code := Watch(t.Context(), l.cfg); code != Invalid {
		t.Errorf("Watch without manifests = %d, want %d", code, Invalid)
	}
	l.cfg.Home = "relative"
	if code := Watch(t.Context(), l.cfg); code != Invalid {
		t.Errorf("Watch of a relative home = %d, want %d", code, Invalid)
	}
	if !strings.Contains(l.log(), "want an absolute path") {
		t.Errorf("Watch of a relative home logged\n%s", l.log())
	}
}
