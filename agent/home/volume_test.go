//go:build linux

package home

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// newLoopLab has a volume that is an ext4 file system of 4 MiB.
func newLoopLab(t *testing.T) *lab {
	t.Helper()
	l := newBareLab(t)
	image := filepath.Join(t.TempDir(), "volume.ext4")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 4<<20))
	for _, args := range [][]string{
		{"mkfs.ext4", "-q", "-m", "0", image}, {"mount", "-o", "loop", image, l.cfg.Volume},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s (as root, with loop devices): %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	t.Cleanup(func() { _ = unix.Unmount(l.cfg.Volume, unix.MNT_DETACH) })
	must(t, os.Remove(filepath.Join(l.cfg.Volume, "lost+found")))
	return l
}

// volumes are of two kinds: a small file system in memory, and one on a disk.
var volumes = map[string]func(t *testing.T) *lab{
	"tmpfs": func(t *testing.T) *lab { t.Helper(); return newLab(t, "size=4m") },
	"ext4":  newLoopLab,
}

// onVolumes runs a test on each kind.
func onVolumes(t *testing.T, test func(l *lab)) {
	t.Helper()
	for name, create := range volumes {
		t.Run(name, func(t *testing.T) { test(create(t)) })
	}
}

// fill leaves no room on the volume.
func (l *lab) fill() {
	l.t.Helper()
	f, err := os.Create(filepath.Join(l.cfg.Volume, "filler"))
	must(l.t, err)
	defer f.Close()
	for size := 1 << 20; size > 0; {
		_, err := f.Write(make([]byte, size))
		if err != nil && !errors.Is(err, unix.ENOSPC) {
			l.t.Fatal(err)
		}
		if err != nil {
			size /= 2
		}
	}
	if err := f.Sync(); err != nil && !errors.Is(err, unix.ENOSPC) {
		l.t.Fatal(err)
	}
}

func TestFullVolume(t *testing.T) {
	onVolumes(t, func(l *lab) {
		l.declare("tool", Owner, ".seed/", ".there", ".same", ".differs", ".replaced", ".new/")
		l.volume(".there", "T")
		l.volume(".same", "S")
		l.volume(".differs", "volume")
		l.volume(".replaced", "old")
		l.apply(OK)
		l.newContainer()
		must(l.t, os.RemoveAll(filepath.Join(l.cfg.Volume, ".seed")))
		l.home(".seed/a", "A")
		l.home(".same", "S")
		l.home(".differs", strings.Repeat("image", 10_000))
		l.apply(OK)
		l.newContainer()
		must(l.t, os.RemoveAll(filepath.Join(l.cfg.Volume, ".seed")))
		l.home(".seed/a", "A")
		l.home(".same", "S")
		l.home(".differs", strings.Repeat("other", 10_000))
		l.fill()
		l.apply(NoRoom)
		l.linked(".there")
		l.linked(".same")
		l.homeHas(".seed/a", "A")
		l.volumeHas(".seed", "")
		l.homeHas(".differs", strings.Repeat("other", 10_000))
		l.volumeHas(".differs", "volume")
		l.logged("error error", "the volume cannot be written to", "no space left")
		l.logged("warn skipped", "path=.seed", "no room")
		l.logged("error error", "path=.differs", "no space left")
		l.tidied()

		must(l.t, os.Remove(filepath.Join(l.cfg.Volume, "filler")))
		l.apply(OK)
		l.volumeHas(".seed/a", "A")
		l.linked(".differs")
		l.tidied()
	})
}

// TestVolumeFillsUp copies more than there is room for.
func TestVolumeFillsUp(t *testing.T) {
	onVolumes(t, func(l *lab) {
		l.declare("tool", Owner, ".big/", ".rc", ".small")
		big := strings.Repeat("x", 5<<20)
		l.volume(".rc", "old")
		l.apply(OK)
		must(l.t, os.Remove(filepath.Join(l.cfg.Home, ".big")))
		must(l.t, os.Remove(filepath.Join(l.cfg.Volume, ".big")))
		l.home(".big/a", "A")
		l.home(".big/b", big)
		l.rename(".rc", big)
		l.rename(".small", "S")
		l.apply(NoRoom)
		l.homeHas(".big/a", "A")
		l.homeHas(".big/b", big)
		l.volumeHas(".big", "")
		l.homeHas(".rc", big)
		l.volumeHas(".rc", "old")
		l.volumeHas(".small", "S")
		l.linked(".small")
		l.logged("error error", "path=.big", "no space left")
		l.logged("error error", "path=.rc", "no space left")
		l.tidied()
	})
}

func TestReadOnlyVolume(t *testing.T) {
	onVolumes(t, func(l *lab) {
		l.declare("tool", Owner, ".there/", ".astray/", ".seed/", ".both", ".new/", ".later", "deep/er/")
		l.volume(".there/a", "A")
		l.volume(".astray/a", "A")
		l.volume(".both", "volume")
		l.volume("deep/er/x", "X")
		l.home(".seed/a", "A")
		l.home(".both", "home")
		must(l.t, os.Symlink(l.cfg.Volume+"/elsewhere", filepath.Join(l.cfg.Home, ".astray")))
		must(l.t, unix.Mount("", l.cfg.Volume, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		volume := tree(l.t, l.cfg.Volume)
		l.apply(NoRoom)
		l.linked(".there")
		l.linked(".astray")
		l.linked("deep/er")
		l.homeHas(".seed/a", "A")
		l.homeHas(".both", "home")
		l.homeHas(".new", "")
		l.homeHas(".later", "")
		l.logged("error error", "read-only file system")
		for _, name := range []string{".seed", ".both", ".new", ".later"} {
			l.logged("warn skipped", "path="+name)
		}
		l.fold(NoRoom)
		l.homeHas(".both", "home")
		if got := tree(l.t, l.cfg.Volume); len(got) != len(volume) {
			l.t.Errorf("the volume has %d things after Apply, want %d", len(got), len(volume))
		}
		must(l.t, unix.Mount("", l.cfg.Volume, "", unix.MS_REMOUNT, ""))
		l.apply(OK)
		l.volumeHas(".seed/a", "A")
		l.backedUp(".both", "home", "home")
	})
}

// TestVolumeOfSomebodyElse belongs to root, as a new one does.
func TestVolumeOfSomebodyElse(t *testing.T) {
	if os.Getuid() == 0 {
		runAsUser(t)
		return
	}
	l := newLab(t, "mode=0755")
	l.declare("tool", Owner, ".rc")
	l.home(".rc", "R")
	must(t, os.Chmod(l.cfg.Volume, 0o555))
	l.apply(NoRoom)
	l.logged("error error", "the volume cannot be written to", "permission denied")
	l.homeHas(".rc", "R")
}

// contents are those of all files below a directory.
func contents(t *testing.T, top string) (all []string) {
	t.Helper()
	for _, c := range tree(t, top) {
		all = append(all, c)
	}
	return all
}

// TestPrune keeps the newest backups of each reason.
func TestPrune(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".rc")
	l.home(".rc", "from the image")
	l.volume(".rc", "0")
	l.apply(OK)
	for _, content := range strings.Fields("1 2 3 4 5 6 7 8") {
		l.tick()
		l.rename(".rc", content)
		l.fold(OK)
	}
	l.volumeHas(".rc", "8")
	l.backedUp(".rc", "replaced", "3", "4", "5", "6", "7")
	l.backedUp(".rc", "home", "from the image")
	big := strings.Repeat("x", maxBackupBytes+1)
	l.tick()
	l.rename(".rc", big)
	l.fold(OK)
	l.tick()
	l.rename(".rc", "9")
	l.fold(OK)
	l.backedUp(".rc", "replaced", big)
	l.volumeHas(".rc", "9")
}
