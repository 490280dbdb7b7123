//go:build linux

package home

import (
	"fmt"
	"testing"
)

func TestDecide(t *testing.T) {
	type want struct {
		volume volumeStep
		home   homeStep
		action Action
	}
	for _, c := range []struct {
		name string
		facts
		want
	}{
		{"none × none, dir", facts{dir: true}, want{makeDir, makeLink, Linked}},
		{"none × none, file", facts{}, want{makeParent, makeLink, Linked}},
		{"none × dir", facts{dir: true, volume: directory}, want{leaveVolume, makeLink, Linked}},
		{"none × file", facts{volume: file}, want{leaveVolume, makeLink, Linked}},
		{"dir × none", facts{dir: true, home: directory}, want{seed, replace, Seeded}},
		{"file × none", facts{home: file}, want{seed, replace, Seeded}},
		{"file × none, seed none", facts{home: file, noSeed: true}, want{makeParent, replace, Linked}},
		{"dir × none, seed none", facts{dir: true, home: directory, noSeed: true}, want{makeDir, replace, Linked}},
		{"dir × dir, first boot", facts{dir: true, home: directory, volume: directory}, want{leaveVolume, replace, Kept}},
		{"dir × dir, merge", facts{dir: true, home: directory, volume: directory, merge: true}, want{merge, replace, Merged}},
		{"file × file, first boot", facts{home: file, volume: file, newer: true}, want{leaveVolume, replace, Kept}},
		{"file × file, was link, newer", facts{home: file, volume: file, wasLink: true, newer: true}, want{fold, replace, Folded}},
		{"file × file, was link, older", facts{home: file, volume: file, wasLink: true}, want{leaveVolume, replace, Kept}},
		{"file × none, was link", facts{home: file, wasLink: true, newer: true}, want{seed, replace, Seeded}},
		{"dir × dir, was link", facts{dir: true, home: directory, volume: directory, wasLink: true, newer: true}, want{leaveVolume, replace, Kept}},
		{"link to place", facts{home: link, leads: toPlace, volume: file}, want{}},
		{"link to place × none, dir", facts{dir: true, home: link, leads: toPlace}, want{makeDir, leaveHome, Linked}},
		{"link to place × none, file", facts{home: link, leads: toPlace}, want{makeParent, leaveHome, ""}},
		{"link to volume", facts{home: link, leads: toVolume, volume: file}, want{leaveVolume, replace, Linked}},
		{"link to volume × none", facts{dir: true, home: link, leads: toVolume}, want{makeDir, replace, Linked}},
		{"link elsewhere", facts{home: link, leads: elsewhere}, want{action: Foreign}},
		{"link elsewhere × file", facts{home: link, leads: elsewhere, volume: file}, want{action: Foreign}},
		{"file for dir", facts{dir: true, home: file}, want{action: Failed}},
		{"dir for file", facts{home: directory, volume: file}, want{action: Failed}},
		{"file for dir on the volume", facts{dir: true, home: directory, volume: file}, want{action: Failed}},
		{"link on the volume", facts{volume: link}, want{action: Failed}},
		{"special", facts{home: special}, want{action: Failed}},
		{"file × none, full", facts{home: file, full: true}, want{action: Skipped}},
		{"file × file, full", facts{home: file, volume: file, full: true}, want{leaveVolume, replace, Kept}},
		{"read-only: none × file", facts{volume: file, linksOnly: true}, want{leaveVolume, makeLink, Linked}},
		{"read-only: none × none", facts{linksOnly: true}, want{action: Skipped}},
		{"read-only: file × none", facts{home: file, linksOnly: true}, want{action: Skipped}},
		{"read-only: file × file", facts{home: file, volume: file, linksOnly: true}, want{action: Skipped}},
		{"read-only: link to volume", facts{home: link, leads: toVolume, volume: file, linksOnly: true}, want{leaveVolume, replace, Linked}},
		{"take back: none", facts{volume: file, takeBack: true}, want{}},
		{"take back: link elsewhere", facts{home: link, leads: elsewhere, takeBack: true}, want{}},
		{"take back: file", facts{home: file, volume: file, wasLink: true, newer: true, takeBack: true}, want{fold, replace, Folded}},
	} {
		d := decide(c.facts)
		if got := (want{d.volume, d.home, d.action}); got != c.want {
			t.Errorf("%s: decide(%+v) = %+v, want %+v", c.name, c.facts, got, c.want)
		}
	}
}

// TestDecideIsSafe goes through all facts that there can be.
func TestDecideIsSafe(t *testing.T) {
	flags := []func(*facts, bool){
		func(f *facts, on bool) { f.dir = on }, func(f *facts, on bool) { f.noSeed = on }, func(f *facts, on bool) { f.merge = on },
		func(f *facts, on bool) { f.wasLink = on }, func(f *facts, on bool) { f.newer = on }, func(f *facts, on bool) { f.linksOnly = on },
		func(f *facts, on bool) { f.full = on }, func(f *facts, on bool) { f.takeBack = on },
	}
	for bits := range 1 << len(flags) {
		var f facts
		for i, set := range flags {
			set(&f, bits>>i&1 == 1)
		}
		f.merge = f.merge && f.dir // as manifests have it
		for f.home = absent; f.home <= special; f.home++ {
			for f.volume = absent; f.volume <= special; f.volume++ {
				for f.leads = noLink; f.leads <= elsewhere; f.leads++ {
					if (f.home == link) != (f.leads != noLink) {
						continue
					}
					if wrong := unsafe(f, decide(f)); wrong != "" {
						t.Fatalf("decide(%+v) = %+v: %s", f, decide(f), wrong)
					}
				}
			}
		}
	}
}

// unsafe says what must never be decided.
func unsafe(f facts, d decision) string {
	nothing := d.volume == leaveVolume && d.home == leaveHome
	switch {
	case f.linksOnly && d.volume != leaveVolume:
		return "the volume is changed"
	case f.linksOnly && d.home == replace && f.home != link:
		return "replaced without a place to save it"
	case f.full && d.volume == seed:
		return "seeds a full volume"
	case d.volume == seed && (f.volume != absent || f.home != f.want()):
		return "seeds what is there, or from what is not"
	case d.volume == fold && (f.dir || f.home != file || f.volume != file || !f.wasLink):
		return "folds what is no file that took the place of a link"
	case d.volume == merge && (f.home != directory || f.volume != directory):
		return "merges what are no directories"
	case (d.volume == makeDir || d.volume == makeParent) && f.volume != absent:
		return "makes what is there"
	case d.home == makeLink && f.home != absent:
		return "links over something"
	case d.home == replace && (f.home == absent || f.home == special || f.leads == elsewhere || f.leads == toPlace):
		return "replaces what it must not"
	case f.leads == elsewhere && !nothing:
		return "touches a foreign link"
	case f.volume != absent && f.volume != f.want() && !nothing:
		return "touches a path whose types differ"
	case !nothing && d.level == Error:
		return "does something, and calls it an error"
	}
	return ""
}

func ExampleLine_String() {
	fmt.Println(Line{Level: Info, Action: Linked, Path: ".config/rtk", Source: "rtk", Scope: Owner})
	fmt.Println(Line{Level: Error, Action: Rejected, Path: "a\nb", Source: "x=y", Detail: "has control characters"})
	// Output:
	// home-persist: info linked path=.config/rtk source=rtk scope=owner
	// home-persist: error rejected path="a\nb" source="x=y" detail="has control characters"
}
