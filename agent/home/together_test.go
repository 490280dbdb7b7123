//go:build linux

package home

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLockIsTaken: links are made, the volume is left alone.
func TestLockIsTaken(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".there", ".seed")
	l.volume(".there", "T")
	l.volume(controlDir+"/lock", "")
	l.home(".seed", "S")
	other, err := os.Open(filepath.Join(l.cfg.Volume, controlDir, "lock"))
	must(t, err)
	defer other.Close()
	must(t, unix.Flock(int(other.Fd()), unix.LOCK_EX))
	l.cfg.LockWait = 100 * time.Millisecond
	l.apply(Locked)
	l.linked(".there")
	l.homeHas(".seed", "S")
	l.volumeHas(".seed", "")
	l.logged("error error", "locked by another process")
	must(t, unix.Flock(int(other.Fd()), unix.LOCK_UN))
	l.apply(OK)
	l.linked(".seed")
}

// TestHomeIsTaken by another process of this container.
func TestHomeIsTaken(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".there")
	l.volume(".there", "T")
	l.home(".local/state/home-persist/", "")
	other, err := os.Open(filepath.Join(l.cfg.Home, ".local/state/home-persist"))
	must(t, err)
	defer other.Close()
	must(t, unix.Flock(int(other.Fd()), unix.LOCK_EX))
	l.cfg.LockWait = 100 * time.Millisecond
	l.apply(Locked)
	l.homeHas(".there", "")
	must(t, other.Close())
	l.apply(OK)
	l.linked(".there")
}

// TestLockIsWaitedFor gives the lock back while Apply waits.
func TestLockIsWaitedFor(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".seed")
	l.volume(controlDir+"/lock", "")
	l.home(".seed", "S")
	other, err := os.Open(filepath.Join(l.cfg.Volume, controlDir, "lock"))
	must(t, err)
	defer other.Close()
	must(t, unix.Flock(int(other.Fd()), unix.LOCK_EX))
	cmd := l.command(job{})
	must(t, cmd.Start())
	eventually(t, "Apply to come to the lock", func() bool { // it probes the volume before
		_, err := os.Stat(filepath.Join(l.cfg.Volume, controlDir, "tmp"))
		return err == nil
	})
	must(t, unix.Flock(int(other.Fd()), unix.LOCK_UN))
	if err := cmd.Wait(); err != nil {
		t.Errorf("Apply that waited for the lock: %v", err)
	}
	l.volumeHas(".seed", "S")
}

// TestTwoWorkspacesAtOnce seed one volume from two homes, in two processes.
func TestTwoWorkspacesAtOnce(t *testing.T) {
	for range 10 {
		a := newLab(t, "")
		b := newBareLab(t)
		b.cfg.Volume, b.cfg.Workspace = a.cfg.Volume, "ws-2"
		var running sync.WaitGroup
		for _, l := range []*lab{a, b} {
			l.declare("tool", Owner, ".dir/", ".file", ".same", ".config/new/")
			l.declare("own", Workspace, ".own")
			l.home(".dir/x", "dir of "+l.cfg.Workspace)
			l.home(".dir/only-"+l.cfg.Workspace, l.cfg.Workspace)
			l.home(".file", "file of "+l.cfg.Workspace)
			l.home(".same", "same")
			l.home(".own", "own of "+l.cfg.Workspace)
			cmd := l.command(job{})
			out, err := cmd.StdoutPipe()
			must(t, err)
			must(t, cmd.Start())
			running.Go(func() {
				log, _ := io.ReadAll(out)
				if err := cmd.Wait(); err != nil {
					t.Errorf("Apply beside another: %v\n%s", err, log)
				}
			})
		}
		running.Wait()
		for _, l := range []*lab{a, b} {
			for _, name := range []string{".dir", ".file", ".same", ".config/new"} {
				l.linked(name)
			}
			l.volumeHas(".workspaces/"+l.cfg.Workspace+"/.own", "own of "+l.cfg.Workspace)
			l.tidied()
		}
		content := strings.Join(contents(t, a.cfg.Volume), "\n")
		for _, want := range []string{"dir of ws-1", "dir of ws-2", "file of ws-1", "file of ws-2"} {
			if !strings.Contains(content, want) {
				t.Errorf("%q is nowhere on the volume", want)
			}
		}
		if len(a.backups(".same")) != 0 {
			t.Error("what was the same was backed up")
		}
	}
}

// TestTwoAtOnceInOneHome: the watch, and a user who types apply.
func TestTwoAtOnceInOneHome(t *testing.T) {
	for range 10 {
		l := newLab(t, "")
		l.declare("tool", Owner, ".dir/", ".file", "deep/er/dir/")
		l.home(".dir/x", "X")
		l.home(".file", "F")
		cmds := []*exec.Cmd{l.command(job{}), l.command(job{})}
		for _, cmd := range cmds {
			must(t, cmd.Start())
		}
		for _, cmd := range cmds {
			if err := cmd.Wait(); err != nil {
				t.Errorf("Apply beside another in the same home: %v", err)
			}
		}
		l.linked(".dir")
		l.linked(".file")
		l.linked("deep/er/dir")
		l.volumeHas(".dir/x", "X")
		l.volumeHas(".file", "F")
		l.tidied()
		l.apply(OK)
		l.quiet()
	}
}
