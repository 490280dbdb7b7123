//go:build linux

package home

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestProgramWritesMeanwhile has a program that has a file of the home open and
// writes to it before each of the first changes that Apply makes, up to the
// moment when the file is deleted.
func TestProgramWritesMeanwhile(t *testing.T) {
	for _, there := range []bool{false, true} {
		for writes := 1; writes < 50; writes++ {
			l := newLab(t, "")
			l.declare("tool", Owner, ".tool/")
			l.home(".tool/log", "begun\n")
			if there {
				l.volume(".tool/log", "volume\n")
			}
			all := l.writeMeanwhile(".tool/log", writes)
			if code := Apply(t.Context(), l.cfg); code > Partial {
				t.Errorf("Apply = %d, want %d or %d", code, OK, Partial)
			}
			l.cfg.step = nil
			l.apply(OK)
			l.linked(".tool")
			l.tidied()
			if saved := contents(t, l.cfg.Volume); !slices.Contains(saved, *all) {
				t.Fatalf("with %d writes, the file had %q in the end, and the volume has %q", writes, *all, saved)
			}
		}
	}
}

// writeMeanwhile writes to an open file before changes that a session makes, and
// returns all that is in it.
func (l *lab) writeMeanwhile(name string, writes int) *string {
	l.t.Helper()
	log, err := os.OpenFile(filepath.Join(l.cfg.Home, name), os.O_RDWR|os.O_APPEND, 0)
	must(l.t, err)
	l.t.Cleanup(func() { _ = log.Close() })
	raw, err := os.ReadFile(log.Name())
	must(l.t, err)
	all := string(raw)
	n := 0
	l.cfg.step = func(op string) {
		if n < writes && op != "delete" {
			n++
			line := fmt.Sprintln(n)
			_, err := log.WriteString(line)
			must(l.t, err)
			all += line
		}
	}
	return &all
}

// TestProgramSavesMeanwhile has a program that saves by a rename before each
// change that Apply makes: what it saved last is what counts.
func TestProgramSavesMeanwhile(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".rc")
	l.volume(".rc", "0")
	l.apply(OK)
	l.rename(".rc", "1")
	n := 1
	l.cfg.step = func(op string) {
		if op != "delete" {
			n++
			l.rename(".rc", fmt.Sprint(n))
		}
	}
	Apply(t.Context(), l.cfg)
	l.cfg.step = nil
	l.fold(OK)
	l.linked(".rc")
	l.volumeHas(".rc", fmt.Sprint(n))
	l.tidied()
}

// TestProgramSavesOnceMeanwhile between the copy to the volume and the link.
func TestProgramSavesOnceMeanwhile(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".rc")
	l.volume(".rc", "one")
	l.apply(OK)
	l.rename(".rc", "two")
	saved := false
	l.cfg.step = func(op string) {
		if op == "symlink" && !saved {
			saved = true
			l.rename(".rc", "three")
		}
	}
	l.apply(OK)
	l.linked(".rc")
	l.volumeHas(".rc", "three")
	l.tidied()
}

// TestProgramMakesItMeanwhile has a file come where there was nothing.
func TestProgramMakesItMeanwhile(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".rc", ".dir/")
	l.cfg.step = func(op string) {
		if op == "symlink" && tree(t, l.cfg.Home)[".dir"] == "" {
			l.home(".rc", "R")
			l.home(".dir/x", "X")
		}
	}
	l.apply(OK)
	l.linked(".rc")
	l.linked(".dir")
	l.volumeHas(".rc", "R")
	if got := l.backups(".dir")["home/x"]; !slices.Equal(got, []string{"X"}) && tree(t, l.cfg.Volume)[".dir/x"] != "X" {
		t.Errorf("what came meanwhile is in backup %q, and not on the volume", got)
	}
}

// TestOtherWorkspaceSeedsMeanwhile without the lock, as through a link.
func TestOtherWorkspaceSeedsMeanwhile(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".rc")
	l.home(".rc", "home")
	l.cfg.step = func(op string) {
		if op == "finish" {
			l.volume(".rc", "other")
		}
	}
	l.apply(OK)
	l.linked(".rc")
	l.volumeHas(".rc", "other")
	l.backedUp(".rc", "home", "home")
}
