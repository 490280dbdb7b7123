//go:build linux

package home

import (
	"errors"
	"os"
	"os/exec"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// overNetwork mounts a file system that has no flags of renames, as those over
// networks are: sshfs, with a server that is a process of its own.
func overNetwork(t *testing.T, at string) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	ends := []*os.File{os.NewFile(uintptr(fds[0]), "server"), os.NewFile(uintptr(fds[1]), "client")}
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) }) // which ends both
	for i, args := range [][]string{
		{"/usr/lib/openssh/sftp-server"},
		{"sshfs", ":" + t.TempDir(), at, "-f", "-o", "passive,dir_cache=no,attr_timeout=0,entry_timeout=0"},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = ends[i], ends[i], os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatalf("start %s: %v", args[0], err)
		}
		must(t, ends[i].Close())
		running.Go(func() { _ = cmd.Wait() })
	}
	eventually(t, "sshfs", func() bool {
		mounted, err := isMounted(at)
		must(t, err)
		return mounted
	})
	put(t, at, "x", "")
	if err := unix.Renameat2(unix.AT_FDCWD, at+"/x", unix.AT_FDCWD, at+"/z", unix.RENAME_NOREPLACE); !errors.Is(err, unix.EINVAL) {
		t.Fatalf("a rename with a flag = %v, want %v: that is what this test is about", err, unix.EINVAL)
	}
}

func TestNetworkVolume(t *testing.T) {
	l := newBareLab(t)
	overNetwork(t, l.cfg.Volume)
	l.declare("tool", Owner, ".seed/", ".file", ".both/", ".rc", `{"path":".merge","type":"dir","conflict":"merge"}`)
	l.home(".seed/sub/a", "A")
	l.home(".file", "F")
	l.home(".both/a", "home")
	l.volume(".both/a", "volume")
	l.volume(".rc", "one")
	l.home(".merge/a", "A")
	l.home(".merge/sub/b", "B")
	l.volume(".merge/c", "C")
	l.apply(OK)
	l.volumeHas(".seed/sub/a", "A")
	l.volumeHas(".file", "F")
	l.volumeHas(".both/a", "volume")
	l.backedUp(".both", "home/a", "home")
	for name, want := range map[string]string{"a": "A", "sub/b": "B", "c": "C"} {
		l.volumeHas(".merge/"+name, want)
	}
	l.rename(".rc", "two")
	l.fold(OK)
	l.volumeHas(".rc", "two")
	l.backedUp(".rc", "replaced", "one")
	l.tidied()
	l.apply(OK)
	l.quiet()
}
