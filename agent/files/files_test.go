package files

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func put(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := errors.Join(os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustHold(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s = %q, %v; want %q", path, got, err, want)
	}
}

// mustBeClean finds no content that took no place.
func mustBeClean(t *testing.T, dir string) {
	t.Helper()
	if left, err := filepath.Glob(filepath.Join(dir, ".berth-write-*")); err != nil || len(left) > 0 {
		t.Errorf("left in %s: %q, %v", dir, left, err)
	}
}

func TestResolve(t *testing.T) {
	for path, want := range map[string]string{
		"~": "/home/u", "~/a": "/home/u/a", "/a/../b": "/b", "~/../v": "/home/v",
		"": "", "a": "", "./a": "", "~v/a": "", "/a\x00": "",
	} {
		got, err := Resolve(path, "/home/u")
		if got != want || (want == "") != errors.Is(err, ErrInvalid) {
			t.Errorf("Resolve(%q) = %q, %v; want %q", path, got, err, want)
		}
	}
}

func TestList(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "b"), "12345", 0o640)
	if err := errors.Join(
		os.Mkdir(filepath.Join(dir, "z"), 0o700), os.Symlink("z", filepath.Join(dir, "a")), os.Symlink("gone", filepath.Join(dir, "c")),
	); err != nil {
		t.Fatal(err)
	}
	l, err := List(dir)
	if err != nil || l.Path != dir || l.Truncated {
		t.Fatalf("List = %+v, %v", l, err)
	}
	var got []string
	for _, e := range l.Contents {
		line := e.Name
		if e.IsDir {
			line += "/"
		}
		if e.IsSymlink {
			line += "@"
		}
		got = append(got, line)
	}
	if want := []string{"a/@", "z/", "b", "c@"}; !slices.Equal(got, want) {
		t.Errorf("List = %q, want %q", got, want)
	}
	if b := l.Contents[2]; b.Size != 5 || b.Mode != "-rw-r-----" || b.Path != filepath.Join(dir, "b") {
		t.Errorf("entry = %+v, want 5 bytes with mode -rw-r-----", b)
	}
	if _, err := List(filepath.Join(dir, "b")); !errors.Is(err, ErrInvalid) {
		t.Errorf("List of a file = %v, want ErrInvalid", err)
	}
	if _, err := List(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("List of nothing = %v, want that there is nothing", err)
	}
}

func TestOpenParts(t *testing.T) {
	path := put(t, filepath.Join(t.TempDir(), "f"), "0123456789", 0o600)
	for _, c := range []struct {
		offset, limit int64
		want          string
	}{{0, 0, "0123456789"}, {4, 0, "456789"}, {4, 3, "456"}, {20, 0, ""}} {
		p, err := Open(path, c.offset, c.limit)
		if err != nil {
			t.Fatalf("Open(%d, %d): %v", c.offset, c.limit, err)
		}
		got, err := io.ReadAll(p)
		if err := errors.Join(err, p.Close()); err != nil || string(got) != c.want || p.Size != 10 {
			t.Errorf("Open(%d, %d) = %q of %d, %v; want %q of 10", c.offset, c.limit, got, p.Size, err, c.want)
		}
	}
}

func TestSizeLimits(t *testing.T) {
	dir := t.TempDir()
	large := put(t, filepath.Join(dir, "large"), "", 0o600)
	if err := os.Truncate(large, MaxWrite+1); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s = %v, want ErrTooLarge", what, err)
		}
	}
	_, err := Open(large, 0, 0)
	refused("Open of all of a large file", err)
	_, err = Open(large, 0, MaxRead+1)
	refused("Open with a large limit", err)
	_, err = ReadLines(large, 0, 1)
	refused("ReadLines of a large file", err)
	_, err = ReadLines(large, 0, MaxLines+1)
	refused("ReadLines of many lines", err)
	_, err = EditAll([]FileEdits{{large, []Edit{{Search: "a"}}}})
	refused("EditAll of a large file", err)
	_, err = ReadLines(put(t, filepath.Join(dir, "long"), strings.Repeat("x", MaxLineBytes+1), 0o600), 0, 1)
	refused("ReadLines of a long line", err)
	double := put(t, filepath.Join(dir, "double"), strings.Repeat("x", MaxEdited/2+1), 0o600)
	_, err = EditAll([]FileEdits{{double, []Edit{{"x", "yy", true}}}})
	refused("EditAll that makes a file large", err)
	old := put(t, filepath.Join(dir, "old"), "old", 0o600)
	_, err = Write(old, io.LimitReader(letters('x'), MaxWrite+1), false)
	refused("Write of too much", err)
	mustHold(t, old, "old")
	mustBeClean(t, dir)
	if p, err := Open(large, MaxWrite-1, 0); err != nil {
		t.Errorf("Open of the end of a large file = %v", err)
	} else {
		p.Close()
	}
}

func TestReadLines(t *testing.T) {
	dir := t.TempDir()
	path := put(t, filepath.Join(dir, "f"), "one\r\ntwo\n\nfour", 0o600)
	for _, c := range []struct {
		first, count int
		want         Lines
	}{
		{0, 0, Lines{1, 4, 4, "one\r\ntwo\n\nfour", 14}},
		{2, 2, Lines{2, 2, 4, "two\n\n", 14}},
		{4, 9, Lines{4, 1, 4, "four", 14}},
		{5, 1, Lines{5, 0, 4, "", 14}},
	} {
		if got, err := ReadLines(path, c.first, c.count); err != nil || got != c.want {
			t.Errorf("ReadLines(%d, %d) = %+v, %v; want %+v", c.first, c.count, got, err, c.want)
		}
	}
	long := put(t, filepath.Join(dir, "long"), strings.Repeat("x", 200<<10)+"\nend\n", 0o600)
	if got, err := ReadLines(long, 2, 1); err != nil || got.Content != "end\n" || got.Total != 2 {
		t.Errorf("ReadLines after a long line = %+v, %v; want the second of two lines", got, err)
	}
	if _, err := ReadLines(put(t, filepath.Join(dir, "binary"), "a\xff\n", 0o600), 0, 0); !errors.Is(err, ErrInvalid) {
		t.Errorf("ReadLines of what is no text = %v, want ErrInvalid", err)
	}
}

// TestNothingBlocksOnWhatIsNoFile opens a pipe that nobody else has open.
func TestNothingBlocksOnWhatIsNoFile(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(pipe, 0, 0); !errors.Is(err, ErrInvalid) {
		t.Errorf("Open of a pipe = %v, want ErrInvalid", err)
	}
	if _, err := Write(pipe, strings.NewReader("x"), false); !errors.Is(err, ErrInvalid) {
		t.Errorf("Write of a pipe = %v, want ErrInvalid", err)
	}
}

func TestWriteKeepsModeAndLink(t *testing.T) {
	dir := t.TempDir()
	target := put(t, filepath.Join(dir, "target"), "old", 0o751)
	link := filepath.Join(dir, "link")
	if err := os.Symlink("target", link); err != nil {
		t.Fatal(err)
	}
	if n, err := Write(link, strings.NewReader("new"), false); err != nil || n != 3 {
		t.Fatalf("Write = %d, %v", n, err)
	}
	mustHold(t, target, "new")
	if st, err := os.Stat(target); err != nil || st.Mode() != 0o751 {
		t.Errorf("its mode = %v, %v; want 0751 as before", st.Mode(), err)
	}
	if to, err := os.Readlink(link); err != nil || to != "target" {
		t.Errorf("the link leads to %q, %v; want target", to, err)
	}
	mustBeClean(t, dir)
}

func TestWriteMakesParentsWhenAsked(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a", "b", "f")
	if _, err := Write(path, strings.NewReader("x"), false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Write without parents = %v, want that there is no directory", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a parent was made: %v", err)
	}
	if _, err := Write(path, strings.NewReader("x"), true); err != nil {
		t.Fatal(err)
	}
	mustHold(t, path, "x")
}

func TestWriteGivesUpWithItsReader(t *testing.T) {
	dir := t.TempDir()
	path := put(t, filepath.Join(dir, "f"), "old", 0o600)
	broken := errors.New("the client left")
	if _, err := Write(path, io.MultiReader(strings.NewReader("new"), failing{broken}), false); !errors.Is(err, broken) {
		t.Errorf("Write = %v, want %v", err, broken)
	}
	mustHold(t, path, "old")
	mustBeClean(t, dir)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestWriteIsWholeAfterKill kills a process that writes all the time.
func TestWriteIsWholeAfterKill(t *testing.T) {
	path := put(t, filepath.Join(t.TempDir(), "f"), "", 0o600)
	for i := range 10 {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env, cmd.Stderr = append(os.Environ(), beWriter+"="+path), os.Stderr
		out, err := cmd.StdoutPipe()
		if err := errors.Join(err, cmd.Start()); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Duration(i) * time.Millisecond / 2) // kills at other moments each time
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		got, err := os.ReadFile(path)
		if err != nil || len(got) != contentSize || len(bytes.Trim(got, string(got[:1]))) != 0 {
			t.Fatalf("after kill %d the file has %d bytes, %v; want %d of one letter", i, len(got), err, contentSize)
		}
	}
}

func TestEdit(t *testing.T) {
	dir := t.TempDir()
	a, b := put(t, filepath.Join(dir, "a"), "x = 1\ny = 1\n", 0o640), put(t, filepath.Join(dir, "b"), "1 1 1", 0o600)
	done, err := EditAll([]FileEdits{
		{a, []Edit{{Search: "x = 1", Replace: "x = 2"}, {Search: "x = 2\ny", Replace: "z"}}},
		{b, []Edit{{"1", "one", true}}},
	})
	if want := []Edited{{a, 2}, {b, 3}}; err != nil || !slices.Equal(done, want) {
		t.Fatalf("EditAll = %+v, %v; want %+v", done, err, want)
	}
	mustHold(t, a, "z = 1\n")
	mustHold(t, b, "one one one")
	if st, err := os.Stat(a); err != nil || st.Mode() != 0o640 {
		t.Errorf("the mode is %v, %v; want 0640 as before", st.Mode(), err)
	}
	mustBeClean(t, dir)
}

func TestEditThatDoesNotMatchChangesNothing(t *testing.T) {
	dir := t.TempDir()
	a, b := put(t, filepath.Join(dir, "a"), "aaa", 0o600), put(t, filepath.Join(dir, "b"), "b", 0o600)
	link := filepath.Join(dir, "link")
	if err := os.Symlink("b", link); err != nil {
		t.Fatal(err)
	}
	good := FileEdits{b, []Edit{{Search: "b", Replace: "c"}}}
	for what, bad := range map[string]FileEdits{
		"no match":        {a, []Edit{{Search: "x"}}},
		"two matches":     {a, []Edit{{Search: "aa"}}}, // they overlap
		"empty search":    {a, []Edit{{}}},
		"no edits":        {a, nil},
		"a second edit":   {a, []Edit{{Search: "aaa", Replace: "b"}, {Search: "a"}}},
		"the file again":  good,
		"by another name": {link, good.Edits},
	} {
		if done, err := EditAll([]FileEdits{good, bad}); !errors.Is(err, ErrInvalid) || done != nil {
			t.Errorf("%s: EditAll = %+v, %v; want ErrInvalid", what, done, err)
		}
		mustHold(t, a, "aaa")
		mustHold(t, b, "b")
	}
	if _, err := EditAll([]FileEdits{good, {filepath.Join(dir, "none"), good.Edits}}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("EditAll with a file that is not there = %v", err)
	}
	mustHold(t, b, "b")
	mustBeClean(t, dir)
}

func TestChangeOfSomebodyElseIsKept(t *testing.T) {
	dir := t.TempDir()
	path := put(t, filepath.Join(dir, "f"), "old", 0o600)
	p, err := findPlace(path)
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := p.stage(strings.NewReader("ours"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, path, "theirs", 0o600)
	if err := s.take(); !errors.Is(err, ErrChanged) {
		t.Errorf("take = %v, want ErrChanged", err)
	}
	mustHold(t, path, "theirs")
	mustBeClean(t, dir)
}

// TestFileThatMayNotBeWritten writes as a user whom modes stop: a rename alone would
// not ask.
func TestFileThatMayNotBeWritten(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o777)); err != nil { // nothing else stops them
		t.Fatal(err)
	}
	path := put(t, filepath.Join(dir, "f"), "old", 0o444)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), beStranger+"="+path)
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "not permitted\n" {
		t.Errorf("Write of a read-only file: %q, %v; want that it is not permitted", out, err)
	}
	mustHold(t, path, "old")
	mustBeClean(t, dir)
}
