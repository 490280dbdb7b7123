//go:build linux

package home

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// image mounts an overlay as the home, below which there is what the image of a
// container has: its directories cannot be renamed.
func (l *lab) image(files map[string]string) {
	l.t.Helper()
	top := l.t.TempDir()
	for _, dir := range []string{"lower", "rw"} {
		must(l.t, os.Mkdir(filepath.Join(top, dir), 0o755))
	}
	for name, content := range files {
		put(l.t, filepath.Join(top, "lower"), name, content)
	}
	mount(l.t, "tmpfs", filepath.Join(top, "rw"), "tmpfs", 0, "")
	for _, dir := range []string{"rw/upper", "rw/work"} {
		must(l.t, os.Mkdir(filepath.Join(top, dir), 0o755))
	}
	mount(l.t, "overlay", l.cfg.Home, "overlay", 0, "lowerdir="+top+"/lower,upperdir="+top+"/rw/upper,workdir="+top+"/rw/work")
}

var imageFiles = map[string]string{
	".tool/a": "image A", ".tool/sub/deep/b": "image B", ".tool/empty/": "", ".rc": "image rc", ".kept/sub/x": "image X", ".kept/y": "image Y",
}

func TestHomeOfAnImage(t *testing.T) {
	l := newLab(t, "")
	l.image(imageFiles)
	if err := os.Rename(filepath.Join(l.cfg.Home, ".tool"), filepath.Join(l.cfg.Home, "x")); err == nil {
		t.Fatal("a directory of an image can be renamed here, and that is what this test is about")
	}
	l.declare("tool", Owner, ".tool/", ".rc", ".kept/")
	l.volume(".kept/y", "volume Y")
	must(t, os.Chmod(filepath.Join(l.cfg.Home, ".kept/sub"), 0o500))
	l.apply(OK)
	l.ofImageIsSaved()
	l.apply(OK)
	l.quiet()
}

func (l *lab) ofImageIsSaved() {
	l.t.Helper()
	for name, want := range map[string]string{
		".tool/a": "image A", ".tool/sub/deep/b": "image B", ".tool/empty": "/", ".rc": "image rc", ".kept/y": "volume Y", ".kept/sub": "",
	} {
		l.volumeHas(name, want)
	}
	for _, name := range []string{".tool", ".rc", ".kept"} {
		l.linked(name)
	}
	l.backedUp(".kept", "home/sub/x", "image X")
	l.backedUp(".kept", "home/y", "image Y")
	l.tidied()
}

func TestHomeOfAnImageKilledAnywhere(t *testing.T) {
	for n := 1; ; n++ {
		l := newLab(t, "")
		l.image(imageFiles)
		l.declare("tool", Owner, ".tool/", ".rc", ".kept/")
		l.volume(".kept/y", "volume Y")
		killed := l.killedAt(n)
		l.apply(OK)
		l.ofImageIsSaved()
		if t.Failed() {
			t.Fatalf("after it was killed before change %d", n)
		}
		_ = unix.Unmount(l.cfg.Home, unix.MNT_DETACH)
		if !killed {
			t.Logf("killed before each of %d changes", n-1)
			return
		}
	}
}
