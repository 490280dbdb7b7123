//go:build linux

package home

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// states are the states of paths, as Status says.
func (l *lab) states(want Code) map[string]State {
	l.t.Helper()
	rows, code, err := Status(l.cfg)
	if err != nil || code != want {
		l.t.Errorf("Status = %d, %v, want %d", code, err, want)
	}
	states := map[string]State{}
	for _, r := range rows {
		states[r.Path] = r.State
	}
	return states
}

func TestStatus(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".good/", ".replaced", ".foreign", ".conflict", ".misfit/", ".unlinked", ".astray", ".cfg/x")
	l.volume(".good/a", "12345")
	l.volume(".good/b/c", "678")
	l.volume(".replaced", "one")
	l.volume(".cfg/x", "X")
	if got := l.states(Partial); got[".good"] != Unlinked {
		t.Errorf("before Apply .good is %q, want %q", got[".good"], Unlinked)
	}
	l.apply(OK)
	if got := l.states(Partial); got[".good"] != Good || got[".unlinked"] != Dangling {
		t.Errorf("after Apply there are %q", got)
	}
	l.rename(".replaced", "two")
	l.volume(".conflict", "V")
	for _, name := range []string{".foreign", ".conflict", ".misfit", ".unlinked", ".astray"} {
		must(t, os.Remove(filepath.Join(l.cfg.Home, name)))
	}
	must(t, os.Symlink("/etc/hosts", filepath.Join(l.cfg.Home, ".foreign")))
	must(t, os.Symlink(l.cfg.Volume, filepath.Join(l.cfg.Home, ".astray")))
	l.home(".misfit", "a file")
	l.home(".conflict", "H")
	must(t, os.RemoveAll(filepath.Join(l.cfg.Home, ".cfg")))
	must(t, os.Symlink("/etc", filepath.Join(l.cfg.Home, ".cfg")))
	want := map[string]State{
		".good": Good, ".replaced": Replaced, ".foreign": Astray, ".conflict": Replaced, ".misfit": Conflict, ".unlinked": Unlinked,
		".astray": Conflict, ".cfg/x": Conflict,
	}
	before := [2]string{fmt.Sprint(tree(t, l.cfg.Home)), fmt.Sprint(tree(t, l.cfg.Volume))}
	got := l.states(Partial)
	for name, state := range want {
		if got[name] != state {
			t.Errorf("state of %s = %q, want %q", name, got[name], state)
		}
	}
	if after := [2]string{fmt.Sprint(tree(t, l.cfg.Home)), fmt.Sprint(tree(t, l.cfg.Volume))}; after != before {
		t.Error("Status changed something")
	}
	rows, _, _ := Status(l.cfg)
	if r := rows[slices.IndexFunc(rows, func(r Row) bool { return r.Path == ".good" })]; r.Bytes != 8 || r.Type != "dir" || r.Source != "tool" || r.Scope != Owner {
		t.Errorf("row of .good = %+v", r)
	}
}

func TestStatusOfAllThatIsGood(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".good/")
	l.apply(OK)
	l.states(OK)
	must(t, os.Remove(filepath.Join(l.cfg.Manifests, "tool.json")))
	if _, code, err := Status(l.cfg); code != Invalid || err == nil {
		t.Errorf("Status without manifests = %d, %v", code, err)
	}
}

func TestStatusWithoutAVolume(t *testing.T) {
	l := newBareLab(t)
	l.declare("tool", Owner, ".good/")
	if _, code, err := Status(l.cfg); code != NotMounted || err == nil {
		t.Errorf("Status = %d, %v, want %d", code, err, NotMounted)
	}
}

// withOrphans has two workspaces, of which one is old, and a path that only the
// old one declares now.
func withOrphans(t *testing.T) *lab {
	l := newLab(t, "")
	l.declare("tool", Owner, ".kept/", ".dropped/", ".shared")
	l.declare("own", Workspace, ".own/")
	l.home(".kept/x", "K")
	l.home(".dropped/x", "D")
	l.home(".shared", "S")
	l.home(".own/x", "O")
	l.apply(OK)
	old := *l
	old.cfg.Workspace, old.cfg.Home = "ws-old", t.TempDir()
	old.declare("tool", Owner, ".shared")
	old.home(".own/x", "old own")
	old.cfg.Log = func(Line) {}
	old.apply(OK)
	l.declare("tool", Owner, ".kept/")
	l.apply(OK)
	return l
}

func orphanPaths(t *testing.T, l *lab, older time.Duration) []string {
	t.Helper()
	found, code, err := Orphans(t.Context(), l.cfg, older)
	if err != nil || code != OK {
		t.Fatalf("Orphans = %d, %v:\n%s", code, err, l.log())
	}
	var names []string
	for _, o := range found {
		names = append(names, o.Path)
	}
	return names
}

func TestOrphans(t *testing.T) {
	l := withOrphans(t)
	if got := orphanPaths(t, l, time.Hour); len(got) != 0 {
		t.Errorf("orphans of an hour = %q, want none yet", got)
	}
	want := []string{".dropped", ".workspaces/ws-old"}
	if got := orphanPaths(t, l, 0); !slices.Equal(got, want) {
		t.Errorf("orphans = %q, want %q", got, want)
	}
	if got := l.states(Partial); got[".dropped"] != Orphaned || got[".shared"] != "" || got[".workspaces/ws-old"] != "" {
		t.Errorf("Status = %q, want .dropped an orphan, and nothing of a workspace that was here today", got)
	}
	found, _, _ := Orphans(t.Context(), l.cfg, 0)
	if code, err := Collect(t.Context(), l.cfg, found, time.Hour); code != OK || err != nil {
		t.Errorf("Collect = %d, %v", code, err)
	}
	l.volumeHas(".dropped/x", "D") // it is not as old
	if code, err := Collect(t.Context(), l.cfg, found[:1], 0); code != OK || err != nil {
		t.Errorf("Collect = %d, %v", code, err)
	}
	l.volumeHas(".dropped", "")
	l.volumeHas(".workspaces/ws-old/.own/x", "old own")
	if code, err := Collect(t.Context(), l.cfg, found, 0); code != OK || err != nil {
		t.Errorf("Collect = %d, %v", code, err)
	}
	l.volumeHas(".workspaces/ws-old", "")
	l.volumeHas(".shared", "S")
	l.volumeHas(".kept/x", "K")
	l.volumeHas(".workspaces/ws-1/.own/x", "O")
	if got := orphanPaths(t, l, 0); !slices.Equal(got, []string{".shared"}) {
		t.Errorf("orphans after the old workspace is gone = %q, want what only it declared", got)
	}
	l.tidied()
}

// TestOrphansSpareWhatIsDeclared below them or above them.
func TestOrphansSpareWhatIsDeclared(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".config/", ".a/b/")
	l.home(".config/tool/x", "X")
	l.home(".a/b/x", "X")
	l.apply(OK)
	l.newContainer()
	l.declare("tool", Owner, ".config/tool/", ".a/")
	l.apply(OK)
	if got := orphanPaths(t, l, 0); len(got) != 0 {
		t.Errorf("orphans = %q, want none: other paths are in them, or they in others", got)
	}
	l.volumeHas(".config/tool/x", "X")
}

func TestOrphansOfUnknownManifests(t *testing.T) {
	l := withOrphans(t)
	must(t, os.WriteFile(filepath.Join(l.cfg.Manifests, "broken.json"), []byte("{"), 0o600))
	if got, code, err := Orphans(t.Context(), l.cfg, 0); code != Invalid || err == nil {
		t.Errorf("Orphans with a manifest that cannot be read = %v, %d, %v, want it refused", got, code, err)
	}
}

func TestOldBackupsAreOrphans(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".rc", ".kept")
	l.home(".rc", "image")
	l.volume(".rc", "volume")
	l.home(".kept", "image")
	l.volume(".kept", "volume")
	l.apply(OK)
	l.declare("tool", Owner, ".kept")
	l.apply(OK)
	want := []string{".rc", ".home-persist/backup/owner/.rc"}
	if got := orphanPaths(t, l, 0); !slices.Equal(got, want) {
		t.Errorf("orphans = %q, want %q", got, want)
	}
}

func TestForget(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".dir/", ".rc", ".kept", ".never")
	l.home(".dir/x", "X")
	l.home(".rc", "R")
	l.apply(OK)
	if _, code, err := Forget(t.Context(), l.cfg, ".rc"); code != Partial || err == nil || !strings.Contains(err.Error(), "declared still") {
		t.Errorf("Forget of what is declared = %d, %v", code, err)
	}
	l.declare("tool", Owner, ".kept")
	l.apply(OK)
	for name, content := range map[string]string{"~/.dir/": ".dir/x", ".rc": ".rc"} {
		backup, code, err := Forget(t.Context(), l.cfg, name)
		if code != OK || err != nil {
			t.Fatalf("Forget(%s) = %d, %v\n%s", name, code, err, l.log())
		}
		name = strings.Trim(name, "~/")
		l.volumeHas(name, "")
		want := map[string]string{".dir": "X", ".rc": "R"}[name]
		l.homeHas(content, want)
		l.volumeHas(backup+strings.TrimPrefix(content, name), want)
	}
	if backup, code, err := Forget(t.Context(), l.cfg, ".never"); backup != "" || code != OK || err != nil {
		t.Errorf("Forget of what was never made = %q, %d, %v", backup, code, err)
	}
	l.homeHas(".never", "")
	for _, name := range []string{".unknown", ".dir"} {
		l.apply(OK)
		if _, code, err := Forget(t.Context(), l.cfg, name); code != Partial || err == nil || !strings.Contains(err.Error(), "was not declared") {
			t.Errorf("Forget(%s) = %d, %v", name, code, err)
		}
	}
	if _, code, err := Forget(t.Context(), l.cfg, "../x"); code != Invalid || err == nil {
		t.Errorf("Forget(../x) = %d, %v", code, err)
	}
	l.tidied()
	l.declare("tool", Owner, ".dir/")
	l.apply(OK)
	l.volumeHas(".dir/x", "X")
}
