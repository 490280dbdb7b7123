package dotfiles

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// places are a clone below the home that it is for, as by default.
func places(t *testing.T) (repo, home string) {
	t.Helper()
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	repo = filepath.Join(home, ".config", "coderv2", "dotfiles")
	write(t, filepath.Join(repo, ".git", "config"), "")
	return repo, home
}

func makeAll(t *testing.T, repo, home string) []Link {
	t.Helper()
	all, err := Links(repo, home)
	if err != nil {
		t.Fatalf("Links(%q, %q): %v", repo, home, err)
	}
	for _, l := range all {
		if err := l.Make(); err != nil {
			t.Fatalf("Make(%+v): %v", l, err)
		}
	}
	return all
}

func TestWhatIsThereIsKept(t *testing.T) {
	repo, home := places(t)
	for _, name := range []string{".a", ".config/b", ".dir/c", ".is-file/d", ".link", ".new/e"} {
		write(t, filepath.Join(repo, name), "theirs")
	}
	write(t, filepath.Join(repo, "README"), "no dot file")
	write(t, filepath.Join(repo, ".was-dir"), "theirs")
	write(t, filepath.Join(home, ".a"), "mine")
	write(t, filepath.Join(home, ".a.bak"), "older")
	write(t, filepath.Join(home, ".config", "other"), "mine")
	write(t, filepath.Join(home, ".dir", "c"), "mine")
	write(t, filepath.Join(home, ".is-file"), "mine")
	write(t, filepath.Join(home, ".was-dir", "f"), "mine")
	if err := os.Symlink("nowhere", filepath.Join(home, ".link")); err != nil {
		t.Fatal(err)
	}
	if n := len(makeAll(t, repo, home)); n != 7 {
		t.Errorf("%d links are made, want 7", n)
	}
	for path, want := range map[string]string{
		".a": "theirs", ".a.bak": "older", ".a.bak.2": "mine", ".config/b": "theirs", ".config/other": "mine", ".dir/c": "theirs", ".dir/c.bak": "mine",
		".is-file/d": "theirs", ".is-file.bak": "mine", ".link": "theirs", ".new/e": "theirs", ".was-dir": "theirs", ".was-dir.bak/f": "mine",
	} {
		if got := read(t, filepath.Join(home, path)); got != want {
			t.Errorf("%s = %q, want %q", path, got, want)
		}
	}
	if led, err := os.Readlink(filepath.Join(home, ".link.bak")); err != nil || led != "nowhere" {
		t.Errorf(".link.bak leads to %q, %v, want nowhere", led, err)
	}
	if _, err := os.Lstat(filepath.Join(home, "README")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("README got a link: %v", err)
	}
	if again := makeAll(t, repo, home); len(again) != 0 {
		t.Errorf("links of another run = %+v, want none", again)
	}
}

// TestRunThatWasKilledGoesOn leaves what a kill leaves at each step of a link.
func TestRunThatWasKilledGoesOn(t *testing.T) {
	for name, kill := range map[string]func(repo, home string) error{
		"before the second name": func(repo, home string) error {
			return os.Symlink(filepath.Join(repo, ".a"), filepath.Join(home, ".a.coder-new"))
		},
		"after it": func(repo, home string) error {
			return errors.Join(os.Symlink(filepath.Join(repo, ".a"), filepath.Join(home, ".a.coder-new")),
				os.Link(filepath.Join(home, ".a"), filepath.Join(home, ".a.bak")))
		},
	} {
		repo, home := places(t)
		write(t, filepath.Join(repo, ".a"), "theirs")
		write(t, filepath.Join(home, ".a"), "mine")
		if err := kill(repo, home); err != nil {
			t.Fatal(err)
		}
		makeAll(t, repo, home)
		got, err := filepath.Glob(filepath.Join(home, ".a*"))
		if err != nil || len(got) != 2 || read(t, got[0]) != "theirs" || read(t, got[1]) != "mine" {
			t.Errorf("killed %s, another run leaves %q, %v, want .a and .a.bak", name, got, err)
		}
	}
}

func TestWhatAppearsMeanwhileStays(t *testing.T) {
	repo, home := places(t)
	write(t, filepath.Join(repo, ".a"), "theirs")
	write(t, filepath.Join(repo, ".b"), "theirs")
	write(t, filepath.Join(home, ".b"), "mine")
	all, err := Links(repo, home)
	if err != nil || len(all) != 2 {
		t.Fatalf("Links = %+v, %v", all, err)
	}
	write(t, filepath.Join(home, ".a"), "new")
	write(t, filepath.Join(home, ".b.bak"), "new")
	for _, l := range all {
		if err := l.Make(); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Make(%+v) = %v, want that something exists", l, err)
		}
	}
	for name, want := range map[string]string{".a": "new", ".b": "mine", ".b.bak": "new"} {
		if got := read(t, filepath.Join(home, name)); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if left, err := filepath.Glob(filepath.Join(home, "*.coder-new")); err != nil || len(left) != 0 {
		t.Errorf("there is %q left, %v", left, err)
	}
}

func TestTheCloneStaysWhereItIs(t *testing.T) {
	repo, home := places(t)
	write(t, filepath.Join(repo, ".config"), "a file, where the home has a directory that the clone is in")
	if all, err := Links(repo, home); err == nil {
		t.Errorf("Links = %+v, want an error", all)
	}
}

func git(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
}

func TestCloneIsWholeOrNot(t *testing.T) {
	dir := t.TempDir()
	from := filepath.Join(dir, "from")
	git(t, "init", "-q", "-b", "main", from)
	write(t, filepath.Join(from, ".a"), "theirs")
	git(t, "-C", from, "add", "-A")
	git(t, "-C", from, "commit", "-qm", "a")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r := Repo{URL: from, Dir: filepath.Join(dir, "clones", "x")}
	write(t, filepath.Join(dir, "clones", ".x.coder-clone", "half"), "of a run that was killed")
	write(t, filepath.Join(dir, "clones", "x"), "a file of the user")
	kept, err := r.Get(ctx)
	if err != nil || kept != r.Dir+".bak" {
		t.Fatalf("Get() = %q, %v, want %q", kept, err, r.Dir+".bak")
	}
	if got := read(t, kept); got != "a file of the user" {
		t.Errorf("what was in the clone's place is %q", got)
	}
	write(t, filepath.Join(r.Dir, ".a"), "changed in the clone")
	if kept, err := r.Get(ctx); kept != "" || err != nil {
		t.Errorf("Get() of what is new = %q, %v", kept, err)
	}
	write(t, filepath.Join(from, ".a"), "changed there too")
	git(t, "-C", from, "commit", "-qam", "b")
	if _, err := r.Get(ctx); !errors.Is(err, ErrStale) {
		t.Errorf("Get() of what cannot be merged = %v, want ErrStale", err)
	}
	if got := read(t, filepath.Join(r.Dir, ".a")); got != "changed in the clone" {
		t.Errorf("the change in the clone is lost: %q", got)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "clones")); err != nil || len(left) != 2 {
		t.Errorf("beside the clone there is %v, %v", left, err)
	}
}
