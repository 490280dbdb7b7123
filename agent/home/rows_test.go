//go:build linux

package home

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNothingAnywhere(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".tool/", ".tool.json", `{"path":".wide","type":"dir","mode":"0755"}`, ".config/deep/er.toml")
	l.apply(OK)
	for _, name := range []string{".tool", ".tool.json", ".wide", ".config/deep/er.toml"} {
		l.linked(name)
	}
	l.volumeHas(".tool", "/")
	l.volumeHas(".tool.json", "")
	l.volumeHas(".config/deep", "/") // so that a plain create goes through the link
	for name, want := range map[string]os.FileMode{".tool": 0o700, ".wide": 0o755} {
		if st, err := os.Stat(filepath.Join(l.cfg.Volume, name)); err != nil || st.Mode().Perm() != want {
			t.Errorf("mode of %s = %v, %v, want %o", name, st.Mode(), err, want)
		}
	}
	l.logged("info linked", "path=.tool", "source=tool", "scope=owner")
	must(t, os.MkdirAll(filepath.Join(l.cfg.Home, ".tool/sub"), 0o755))
	must(t, os.WriteFile(filepath.Join(l.cfg.Home, ".config/deep/er.toml"), []byte("x"), 0o600))
	l.volumeHas(".config/deep/er.toml", "x")
	l.apply(OK)
	l.quiet()
	l.tidied()
}

func TestOnlyTheVolumeHasIt(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".tool/", ".ssh/known_hosts")
	l.volume(".tool/a", "A")
	l.volume(".ssh/known_hosts", "K")
	must(t, os.Chmod(filepath.Join(l.cfg.Volume, ".ssh"), 0o700))
	l.apply(OK)
	l.linked(".tool")
	l.linked(".ssh/known_hosts")
	if st, err := os.Stat(filepath.Join(l.cfg.Home, ".ssh")); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("~/.ssh = %v, %v, want the mode that it has on the volume", st, err)
	}
}

func TestOnlyTheHomeHasIt(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".tool/", ".tool.json", ".ssh/config")
	l.home(".tool/a", "A")
	l.home(".tool/sub/b", "B")
	l.home(".tool/empty/", "")
	l.home(".tool.json", "{}")
	l.home(".ssh/config", "Host *")
	must(t, os.Chmod(filepath.Join(l.cfg.Home, ".ssh"), 0o700))
	must(t, os.Symlink("sub/b", filepath.Join(l.cfg.Home, ".tool/link")))
	must(t, unix.Mkfifo(filepath.Join(l.cfg.Home, ".tool/fifo"), 0o600))
	socket, err := net.Listen("unix", filepath.Join(l.cfg.Home, ".tool/s"))
	must(t, err)
	defer socket.Close()
	must(t, os.Chmod(filepath.Join(l.cfg.Home, ".tool/sub/b"), 0o400))
	must(t, os.Chmod(filepath.Join(l.cfg.Home, ".tool/sub"), 0o500))
	l.apply(OK)
	for name, want := range map[string]string{
		".tool/a": "A", ".tool/sub/b": "B", ".tool/empty": "/", ".tool/link": "-> sub/b", ".tool/fifo": "", ".tool/s": "",
		".tool.json": "{}", ".ssh/config": "Host *",
	} {
		l.volumeHas(name, want)
	}
	for name, want := range map[string]os.FileMode{".ssh": 0o700, ".tool/sub": 0o500, ".tool/sub/b": 0o400, ".tool": 0o755} {
		if st, err := os.Stat(filepath.Join(l.cfg.Volume, name)); err != nil || st.Mode().Perm() != want {
			t.Errorf("mode of %s on the volume = %v, %v, want %o", name, st, err, want)
		}
	}
	l.linked(".tool")
	l.linked(".tool.json")
	l.linked(".ssh/config")
	l.logged("info seeded", "path=.tool ")
	l.logged("info skipped", ".tool/fifo")
	l.backedUp(".tool", "home")
	l.tidied()
	l.apply(OK)
	l.quiet()
}

func TestSeedNone(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, `{"path":".tool","type":"dir","seed":"none"}`, `{"path":".rc","seed":"none"}`)
	l.home(".tool/a", "A")
	l.home(".rc", "R")
	l.apply(OK)
	l.linked(".tool")
	l.linked(".rc")
	l.volumeHas(".tool", "/")
	l.volumeHas(".tool/a", "")
	l.volumeHas(".rc", "")
	l.backedUp(".tool", "home/a", "A")
	l.backedUp(".rc", "home", "R")
}

func TestBothHaveIt(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".tool/", ".rc", ".same")
	l.volume(".tool/a", "volume A")
	l.volume(".tool/same", "S")
	l.volume(".rc", "volume")
	l.volume(".same", "S")
	l.home(".tool/a", "image A")
	l.home(".tool/new", "image N")
	l.home(".tool/same", "S")
	l.home(".rc", "image")
	l.home(".same", "S")
	for range 3 { // containers of one image
		l.apply(OK)
		l.linked(".tool")
		l.linked(".rc")
		l.linked(".same")
		l.volumeHas(".tool/a", "volume A")
		l.volumeHas(".tool/new", "")
		l.volumeHas(".rc", "volume")
		l.backedUp(".tool", "home/a", "image A") // once, and only what differs
		l.backedUp(".tool", "home/new", "image N")
		l.backedUp(".tool", "home/same")
		l.backedUp(".rc", "home", "image")
		l.backedUp(".same", "home")
		l.logged("info kept", "path=.rc")
		l.tidied()
		l.newContainer()
		l.home(".tool/a", "image A")
		l.home(".tool/new", "image N")
		l.home(".rc", "image")
		l.home(".same", "S")
	}
}

func TestMerge(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, `{"path":".tool","type":"dir","conflict":"merge"}`)
	l.volume(".tool/a", "volume A")
	l.volume(".tool/sub/x", "volume X")
	l.volume(".tool/odd", "a file")
	l.home(".tool/a", "image A")
	l.home(".tool/sub/y", "image Y")
	l.home(".tool/new/deep/z", "image Z")
	l.home(".tool/odd/w", "image W")
	l.apply(OK)
	l.linked(".tool")
	for name, want := range map[string]string{"a": "volume A", "sub/x": "volume X", "sub/y": "image Y", "new/deep/z": "image Z", "odd": "a file"} {
		l.volumeHas(".tool/"+name, want)
	}
	l.backedUp(".tool", "home/a", "image A")
	l.backedUp(".tool", "home/odd/w", "image W")
	l.backedUp(".tool", "home/sub/y")
	l.logged("info merged", "path=.tool")
}

func TestFileTookThePlaceOfALink(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".rc", ".other", "deep/er")
	l.volume(".rc", "one")
	l.volume("deep/er", "d")
	l.apply(OK)
	l.rename(".rc", "two")
	l.rename("deep/er", "dd")
	l.apply(OK)
	l.linked(".rc")
	l.linked("deep/er")
	l.volumeHas(".rc", "two")
	l.volumeHas("deep/er", "dd")
	l.backedUp(".rc", "replaced", "one")
	l.logged("info folded", "path=.rc")
	l.logged("info backup", "path=.rc")

	l.rename(".rc", "three")
	l.tick()
	l.volume(".rc", "another workspace, later")
	l.apply(OK)
	l.linked(".rc")
	l.volumeHas(".rc", "another workspace, later")
	l.backedUp(".rc", "home", "three")
	l.logged("info kept", "path=.rc")

	l.tick()
	// An old file that the user moves there is what the user wants now.
	l.home("old", "restored")
	must(t, os.Chtimes(filepath.Join(l.cfg.Home, "old"), timeLongAgo, timeLongAgo))
	must(t, os.Rename(filepath.Join(l.cfg.Home, "old"), filepath.Join(l.cfg.Home, ".rc")))
	l.apply(OK)
	l.volumeHas(".rc", "restored")
	l.tidied()
}

func TestDirectoryTookThePlaceOfALink(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".tool/")
	l.volume(".tool/a", "A")
	l.apply(OK)
	must(t, os.Remove(filepath.Join(l.cfg.Home, ".tool")))
	l.home(".tool/b", "B")
	l.fold(OK)
	l.linked(".tool")
	l.volumeHas(".tool/a", "A")
	l.backedUp(".tool", "home/b", "B")
}

func TestFoldLeavesTheRest(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".rc", ".gone", ".never", ".dotfiles")
	must(t, os.Symlink("/etc/hosts", filepath.Join(l.cfg.Home, ".dotfiles")))
	l.volume(".rc", "one")
	l.volume(".gone", "g")
	l.apply(OK)
	must(t, os.Remove(filepath.Join(l.cfg.Home, ".gone")))
	l.rename(".rc", "two")
	l.rename(".never", "first")
	l.fold(OK)
	l.linked(".rc")
	l.volumeHas(".rc", "two")
	l.volumeHas(".never", "first")
	l.homeHas(".gone", "")
	l.volumeHas(".gone", "g")
}

func TestLinks(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".right", ".relative", ".foreign", ".dangling-foreign", ".astray/", ".broken/")
	l.declare("own", Workspace, ".mine/")
	for _, name := range []string{".right", ".relative", ".astray/x", ".mine/moved"} {
		l.volume(name, "V")
	}
	l.home("dotfiles/rc", "D")
	for name, target := range map[string]string{
		".right": l.cfg.Volume + "/.right", ".relative": "../volume/.relative", ".foreign": "dotfiles/rc", ".dangling-foreign": "/nowhere",
		".astray": l.cfg.Volume + "/.workspaces/other/.astray", ".mine": l.cfg.Volume + "/.mine", ".broken": l.cfg.Volume + "/.broken",
	} {
		must(t, os.Symlink(target, filepath.Join(l.cfg.Home, name)))
	}
	l.apply(OK)
	l.linked(".right")
	l.homeHas(".relative", "-> ../volume/.relative")
	l.homeHas(".foreign", "-> dotfiles/rc")
	l.homeHas(".dangling-foreign", "-> /nowhere")
	l.linked(".astray")
	l.linked(".broken")
	l.volumeHas(".broken", "/")
	l.homeHas(".mine", "-> "+l.cfg.Volume+"/.workspaces/ws-1/.mine")
	l.volumeHas(".workspaces/ws-1/.mine", "/")
	l.volumeHas(".mine/moved", "V") // the copy of the other scope stays
	l.logged("warn foreign", "path=.foreign")
	l.logged("info linked", "path=.astray")
	l.tidied()
}

func TestMisfits(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".dir/", ".file", ".vdir/", ".vfile", ".fifo", ".vlink/")
	l.home(".dir", "a file")
	l.home(".file/x", "in a directory")
	l.volume(".vdir", "a file")
	l.volume(".vfile/x", "in a directory")
	l.home(".vdir/y", "home")
	must(t, unix.Mkfifo(filepath.Join(l.cfg.Home, ".fifo"), 0o600))
	must(t, os.Symlink("/etc", filepath.Join(l.cfg.Volume, ".vlink")))
	home, volume := tree(t, l.cfg.Home), tree(t, l.cfg.Volume)
	l.apply(Partial)
	for _, name := range []string{".dir", ".file", ".vdir", ".vfile", ".fifo", ".vlink"} {
		l.logged("error error", "path="+name+" ", "is declared as")
	}
	for name, want := range home {
		l.homeHas(name, want)
	}
	for name, want := range volume {
		l.volumeHas(name, want)
	}
}

// TestMountsInTheHome has file systems where a rename would take them along,
// and a deletion empty them.
func TestMountsInTheHome(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, "projects/", ".cache/")
	l.home("projects/", "")
	l.home(".cache/big/", "")
	mount(t, "tmpfs", filepath.Join(l.cfg.Home, "projects"), "tmpfs", 0, "")
	mount(t, "tmpfs", filepath.Join(l.cfg.Home, ".cache/big"), "tmpfs", 0, "")
	l.home("projects/p", "P")
	l.home(".cache/big/b", "B")
	l.apply(Partial)
	l.homeHas("projects/p", "P")
	l.homeHas(".cache/big/b", "B")
	l.volumeHas("projects", "")
	l.logged("error error", "path=projects", "is a mount point")
	l.logged("error error", "path=.cache", "is a mount point")
}

func TestParentsThatAreLinks(t *testing.T) {
	l := newLab(t, "")
	outside := t.TempDir()
	put(t, outside, "tool/x", "outside")
	l.declare("tool", Owner, ".cfg/tool/", ".cfg/new/deep", ".in/x", ".vol/x", ".far/x")
	must(t, os.Symlink(outside, filepath.Join(l.cfg.Home, ".cfg")))
	must(t, os.Symlink("real", filepath.Join(l.cfg.Home, ".in"))) // not even inside the home
	l.home("real/x", "inside")
	must(t, os.Symlink(l.cfg.Volume, filepath.Join(l.cfg.Home, ".vol")))
	must(t, os.Symlink(outside, filepath.Join(l.cfg.Volume, ".far")))
	l.home(".far/x", "home")
	l.apply(Partial)
	for _, name := range []string{".cfg/tool", ".cfg/new/deep", ".in/x", ".vol/x", ".far/x"} {
		l.logged("error error", "path="+name+" ", "is a link, or no directory")
	}
	if got := tree(t, outside); len(got) != 2 || got["tool/x"] != "outside" {
		t.Errorf("outside of the home there is %q, want nothing to have changed", got)
	}
	l.homeHas("real/x", "inside")
	l.homeHas(".far/x", "home")
	if _, there := tree(t, l.cfg.Volume)["x"]; there {
		t.Error("a path went to the volume over a link")
	}
}

// TestUnreadable has what the user cannot copy: it stays where it is.
func TestUnreadable(t *testing.T) {
	if os.Getuid() == 0 {
		runAsUser(t)
		return
	}
	l := newLab(t, "")
	l.declare("tool", Owner, ".tool/")
	l.home(".tool/a", "A")
	l.home(".tool/secret", "S")
	must(t, os.Chmod(filepath.Join(l.cfg.Home, ".tool/secret"), 0))
	l.apply(Partial)
	l.logged("error error", "path=.tool", "permission denied")
	secret := filepath.Join(l.cfg.Home, ".tool/secret")
	must(t, os.Chmod(secret, 0o600))
	l.homeHas(".tool/secret", "S")
	l.volumeHas(".tool", "")
	l.tidied()
	l.apply(OK)
	l.volumeHas(".tool/secret", "S")
}

func TestWorkspaceScope(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Workspace, ".cache/tool/", "lock")
	l.home(".cache/tool/a", "A")
	l.apply(OK)
	l.homeHas(".cache/tool", "-> "+l.cfg.Volume+"/.workspaces/ws-1/.cache/tool")
	l.volumeHas(".workspaces/ws-1/.cache/tool/a", "A")
	l.cfg.Workspace = ""
	l.newContainer()
	l.home(".cache/tool/a", "A2")
	l.apply(OK)
	l.logged("warn skipped", "path=.cache/tool", "id of the workspace")
	l.homeHas(".cache/tool/a", "A2")
	l.cfg.Workspace = "../x"
	l.apply(Invalid)
}

func TestNestedAndTwice(t *testing.T) {
	l := newLab(t, "")
	l.declare("a", Owner, ".config/tool/", ".rc", ".file")
	l.declare("b", Owner, ".config/", ".rc/", ".file/below", ".config/tool/")
	l.declare("c", Workspace, ".config/cache/")
	l.apply(Partial)
	l.linked(".config")
	l.linked(".rc")
	l.logged("info skipped", "path=.config/tool", "source=a", "part of .config/ of b")
	l.logged("info skipped", "path=.config/tool", "source=b", "declared by a already")
	l.logged("info skipped", "path=.rc", "source=b", "declared by a already")
	l.logged("error rejected", "path=.file/below", ".file of a is a file")
	l.logged("error rejected", "path=.config/cache", "scope=workspace", "whose scope is owner")
	if got := tree(t, l.cfg.Volume)[".config/cache"]; got != "" {
		t.Errorf(".config/cache = %q in the store of the owner", got)
	}
}

// TestUserManifestIsLast although its name sorts before another.
func TestUserManifestIsLast(t *testing.T) {
	l := newLab(t, "")
	l.declare("zzz", Owner, ".rc")
	l.declare("user", Owner, ".rc", ".mine")
	l.apply(OK)
	l.logged("info skipped", "path=.rc", "source=user", "declared by zzz already")
	l.linked(".mine")
}

func TestManifestsThatAreWrong(t *testing.T) {
	l := newLab(t, "")
	l.apply(Invalid)
	must(t, os.WriteFile(filepath.Join(l.cfg.Manifests, "broken.json"), []byte(`{"paths":[`), 0o600))
	l.apply(Invalid)
	l.declare("good", Owner, ".rc", "../escape")
	l.apply(Partial)
	l.logged("error rejected", "source=broken.json")
	l.logged("error rejected", "path=../escape", "source=good")
	l.linked(".rc")
	must(t, os.RemoveAll(l.cfg.Manifests))
	l.apply(Invalid)
	l.logged("no such file")
}

// TestListOfLinksIsNotPersisted: from a list on the volume a new container would
// take its image's files for what a program saved.
func TestListOfLinksIsNotPersisted(t *testing.T) {
	l := newLab(t, "")
	l.declare("tool", Owner, ".local/", ".local/state/home-persist/links.json", ".local/share/")
	l.apply(Partial)
	l.logged("error rejected", "path=.local ", "list of links")
	l.logged("error rejected", "path=.local/state/home-persist/links.json")
	l.linkedNot(".local")
	l.linked(".local/share")
	l.cfg.StateDir = filepath.Join(l.cfg.Volume, "state")
	l.apply(Invalid)
}

// TestHomeBehindALink follows the links to the home and to the volume: they are
// the administrator's.
func TestHomeBehindALink(t *testing.T) {
	l := newLab(t, "")
	top := t.TempDir()
	given := l.cfg
	for _, field := range []*string{&l.cfg.Home, &l.cfg.Volume} {
		link := filepath.Join(top, filepath.Base(*field))
		must(t, os.Symlink(*field, link))
		*field = link
	}
	l.declare("tool", Owner, ".local/", l.cfg.Home+"/.rc")
	l.home(".rc", "R")
	l.apply(Partial)
	l.logged("error rejected", "path=.local ", "list of links")
	l.cfg.Home, l.cfg.Volume = given.Home, given.Volume
	l.linked(".rc")
	l.volumeHas(".rc", "R")
}

func (l *lab) linkedNot(name string) {
	l.t.Helper()
	if got := tree(l.t, l.cfg.Home)[name]; strings.HasPrefix(got, "->") {
		l.t.Errorf("%s is a link", name)
	}
}

func TestNotMounted(t *testing.T) {
	l := newBareLab(t)
	l.declare("tool", Owner, ".rc")
	l.home(".rc", "R")
	l.apply(NotMounted)
	l.homeHas(".rc", "R")
	l.logged("warn skipped", "no volume is mounted")
	must(t, os.Remove(l.cfg.Volume))
	l.apply(NotMounted)
}
