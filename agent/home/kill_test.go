//go:build linux

package home

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// precious are the contents that must never be lost.
var precious = []string{
	"seed A", "seed B", "seed file", "kept volume", "kept home", "kept only home", "merge volume", "merge home", "merge new", "merge deep",
	"fold old", "fold new", "gone home", "astray", "own", "there",
}

// eventful is a home, after one Apply and some work, in which the next Apply
// has each kind of thing to do.
func eventful(l *lab) {
	l.declare("tool", Owner,
		".seed/", ".seedfile", ".kept/", `{"path":".merge","type":"dir","conflict":"merge"}`, ".fold", ".new/", "deep/er/new",
		`{"path":".gone","type":"dir","seed":"none"}`, ".astray/", ".there")
	l.declare("own", Workspace, ".own/")
	l.volume(".fold", "fold old")
	l.volume(".there", "there")
	l.apply(OK)
	for _, name := range []string{".seed", ".kept", ".merge", ".gone", ".astray", ".new"} {
		must(l.t, os.Remove(filepath.Join(l.cfg.Home, name)))
		must(l.t, os.Remove(filepath.Join(l.cfg.Volume, name)))
	}
	for _, name := range []string{".there", ".own", "deep/er/new", "deep/er", "deep"} {
		must(l.t, os.Remove(filepath.Join(l.cfg.Home, name)))
	}
	l.home(".seed/a", "seed A")
	l.home(".seed/sub/b", "seed B")
	l.rename(".seedfile", "seed file")
	must(l.t, os.Remove(filepath.Join(l.cfg.Volume, ".workspaces/ws-1/.own")))
	l.volume(".kept/a", "kept volume")
	l.home(".kept/a", "kept home")
	l.home(".kept/sub/b", "kept only home")
	l.volume(".merge/a", "merge volume")
	l.home(".merge/a", "merge home")
	l.home(".merge/b", "merge new")
	l.home(".merge/c/d", "merge deep")
	l.rename(".fold", "fold new")
	l.home(".gone/a", "gone home")
	l.volume(".astray/a", "astray")
	must(l.t, os.Symlink(l.cfg.Volume+"/nowhere", filepath.Join(l.cfg.Home, ".astray")))
	l.home(".own/a", "own")
}

// settled is how the volume must be in the end, wherever a process was killed.
func settled(l *lab) {
	l.t.Helper()
	for name, want := range map[string]string{
		".seed/a": "seed A", ".seed/sub/b": "seed B", ".seedfile": "seed file", ".kept/a": "kept volume", ".kept/sub/b": "",
		".merge/a": "merge volume", ".merge/b": "merge new", ".merge/c/d": "merge deep", ".fold": "fold new", ".new": "/", "deep/er": "/",
		".gone": "/", ".gone/a": "", ".astray/a": "astray", ".workspaces/ws-1/.own/a": "own", ".there": "there",
	} {
		l.volumeHas(name, want)
	}
	for _, name := range []string{".seed", ".seedfile", ".kept", ".merge", ".fold", ".new", "deep/er/new", ".gone", ".astray", ".there"} {
		l.linked(name)
	}
	l.homeHas(".own", "-> "+l.cfg.Volume+"/.workspaces/ws-1/.own")
	l.backedUp(".fold", "replaced", "fold old")
	l.tidied()
}

// nothingLost wants every precious content in the home, or complete on the
// volume: what is in tmp is deleted by the next one who comes.
func (l *lab) nothingLost(n int, precious ...string) {
	l.t.Helper()
	found := contents(l.t, l.cfg.Home)
	for name, content := range tree(l.t, l.cfg.Volume) {
		if !strings.HasPrefix(name, controlDir+"/tmp/") {
			found = append(found, content)
		}
	}
	for _, want := range precious {
		if !slices.Contains(found, want) {
			l.t.Errorf("killed before change %d: %q is lost", n, want)
		}
	}
}

// killedAt runs a process that kills itself before its n-th change, and reports
// whether it came to that.
func (l *lab) killedAt(n int) bool {
	l.t.Helper()
	return l.killed(job{KillAt: n})
}

func (l *lab) killed(j job) bool {
	l.t.Helper()
	out, err := l.command(j).CombinedOutput()
	exit := (*exec.ExitError)(nil)
	switch {
	case err == nil:
		return false
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
		return true
	}
	l.t.Fatalf("a process to be killed before change %d: %v\n%s", j.KillAt, err, out)
	return false
}

// wipe makes the lab as new.
func (l *lab) wipe() {
	l.t.Helper()
	for _, top := range []string{l.cfg.Home, l.cfg.Volume} {
		entries, err := os.ReadDir(top)
		must(l.t, err)
		for _, e := range entries {
			must(l.t, os.RemoveAll(filepath.Join(top, e.Name())))
		}
	}
}

// TestKilledAnywhere kills Apply before each of its changes; the next Apply
// completes what it began.
func TestKilledAnywhere(t *testing.T) {
	l := newLab(t, "")
	n := 1
	for ; ; n++ {
		l.wipe()
		eventful(l)
		killed := l.killedAt(n)
		l.nothingLost(n, precious...)
		l.apply(OK)
		settled(l)
		l.nothingLost(n, precious...)
		if t.Failed() {
			t.Fatalf("after it was killed before change %d", n)
		}
		if !killed {
			break
		}
	}
	if n < 100 {
		t.Errorf("Apply made %d changes, want all that there are to do", n)
	}
	t.Logf("killed before each of %d changes", n-1)
}

// TestKilledTwice kills the second run too, at a distance.
func TestKilledTwice(t *testing.T) {
	l := newLab(t, "")
	for n := 1; ; n += 9 {
		l.wipe()
		eventful(l)
		killed := l.killedAt(n)
		l.killedAt(10 + n%23)
		l.nothingLost(n, precious...)
		l.apply(OK)
		settled(l)
		if t.Failed() {
			t.Fatalf("after it was killed before change %d", n)
		}
		if !killed {
			return
		}
	}
}

// TestForgetKilledAnywhere kills Forget; it can be done again.
func TestForgetKilledAnywhere(t *testing.T) {
	l := newLab(t, "")
	for n := 1; ; n++ {
		l.wipe()
		l.declare("tool", Owner, ".dir/", ".kept")
		l.home(".dir/a", "A")
		l.home(".dir/sub/b", "B")
		l.apply(OK)
		l.declare("tool", Owner, ".kept")
		l.apply(OK)
		killed := l.killed(job{Forget: ".dir", KillAt: n})
		l.nothingLost(n, "A", "B")
		_, code, err := Forget(t.Context(), l.cfg, ".dir")
		if done := err != nil && strings.Contains(err.Error(), "was not declared"); code != OK && !done {
			t.Errorf("Forget after it was killed before change %d = %d, %v", n, code, err)
		}
		l.homeHas(".dir/a", "A")
		l.homeHas(".dir/sub/b", "B")
		l.nothingLost(n, "A", "B")
		if t.Failed() {
			t.Fatalf("after it was killed before change %d", n)
		}
		if !killed {
			return
		}
	}
}
