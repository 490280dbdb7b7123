//go:build linux

package sshconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if path := os.Getenv("SSHCONFIG_TEST_WRITE"); path != "" {
		writeForever(path)
	}
	os.Exit(m.Run())
}

func replace(t *testing.T, path, text string) {
	t.Helper()
	f, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Replace([]byte(text)); err != nil {
		t.Fatalf("replace %s: %v", path, err)
	}
}

func want(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	got, err := os.ReadFile(path)
	info, errMode := os.Lstat(path)
	if err := errors.Join(err, errMode); err != nil || string(got) != text || info.Mode() != mode {
		t.Errorf("%s = %q, %v, %v; want %q, %v", path, got, info, err, text, mode)
	}
}

func TestReplaceKeepsModeAndOwner(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "new", "config")
	replace(t, path, "first")
	want(t, path, "first", 0o600)
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the new directory: %v, %v; want mode 0700", info.Mode(), err)
	}
	owner := os.Getuid()
	if owner == 0 {
		owner = 12345 // as with sudo
	}
	if err := errors.Join(os.Chown(path, owner, -1), os.Chmod(path, 0o644)); err != nil {
		t.Fatal(err)
	}
	replace(t, path, "second")
	want(t, path, "second", 0o644)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Sys().(*syscall.Stat_t).Uid; got != uint32(owner) {
		t.Errorf("afterwards the owner is %d, want %d", got, owner)
	}
	if all, err := os.ReadDir(filepath.Dir(path)); err != nil || len(all) != 1 {
		t.Errorf("besides the configuration there is something: %v, %v", all, err)
	}
}

func TestReplaceFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"ssh", "real/dots", "real/other"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	// ssh/config leads through a linked directory, with .. beyond it, to a file
	// that does not exist at first.
	for from, to := range map[string]string{"ssh/config": "../dots/../other/link", "dots": "real/dots", "real/other/link": filepath.Join(dir, "real/file")} {
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{"first", "second"} {
		replace(t, filepath.Join(dir, "ssh/config"), text)
		want(t, filepath.Join(dir, "real/file"), text, 0o600)
	}
	if to, err := os.Readlink(filepath.Join(dir, "ssh/config")); err != nil || to != "../dots/../other/link" {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	if err := os.Symlink("loop", filepath.Join(dir, "loop")); err != nil {
		t.Fatal(err)
	}
	if f, err := Read(filepath.Join(dir, "loop")); err == nil || !strings.Contains(err.Error(), "too many links") {
		t.Errorf("Read of a link to itself = %v, %v; want an error", f, err)
	}
}

func TestReplaceSeesThatSomebodyElseWrote(t *testing.T) {
	for before, after := range map[string]string{"": "theirs", "old": "theirs", "gone": ""} {
		path := filepath.Join(t.TempDir(), "config")
		put := func(text string) {
			t.Helper()
			err := os.Remove(path)
			if text != "" {
				err = os.WriteFile(path, []byte(text), 0o600)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
		put(before)
		f, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		put(after)
		if err := f.Replace([]byte("ours")); !errors.Is(err, ErrChanged) {
			t.Errorf("Replace where %q became %q = %v, want ErrChanged", before, after, err)
		}
		if got, _ := os.ReadFile(path); string(got) != after {
			t.Errorf("afterwards it is %q, want %q", got, after)
		}
	}
}

// contents are what the writer of TestKilledWriter writes: large, so that it is
// in the middle of that most of the time.
func contents() [2][]byte {
	return [2][]byte{bytes.Repeat([]byte("a"), 1<<20), bytes.Repeat([]byte("b"), 2<<20)}
}

func writeForever(path string) {
	texts := contents()
	for i := 0; ; i++ {
		f, err := Read(path)
		if err == nil {
			err = f.Replace(texts[i%2])
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		if i == 0 {
			fmt.Println("writing")
		}
	}
}

// TestKilledWriter kills a writer with SIGKILL at many points of its work.
func TestKilledWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	texts := contents()
	left := 0 // files that a writer was in the middle of
	for i := range 30 {
		killAfter(t, path, time.Duration(i)*time.Millisecond/3)
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, texts[0]) && !bytes.Equal(got, texts[1]) {
			t.Fatalf("after the kill the file has %d bytes (%v), want the old or the new content whole", len(got), err)
		}
		all, err := os.ReadDir(filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		left = len(all) - 1
	}
	if left == 0 {
		t.Error("no writer was killed in the middle of its work: the test shows nothing")
	}
}

// killAfter starts a writer and kills it when it has written for d.
func killAfter(t *testing.T, path string, d time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SSHCONFIG_TEST_WRITE="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 200)
	n, err := out.Read(line)
	if got := string(line[:n]); got != "writing\n" {
		t.Errorf("the writer says %q, %v", got, err)
	}
	<-time.After(d)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
}
