//go:build linux

package sftp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect returns a client, which is not ours, of a session in dir.
func connect(t *testing.T, cfg Config) *sftp.Client {
	t.Helper()
	near, far := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- Serve(far, cfg) }()
	client, err := sftp.NewClientPipe(near, near, sftp.MaxPacketUnchecked(maxData))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = near.Close()
		_ = client.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
	})
	return client
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestBigPackets(t *testing.T) {
	dir := t.TempDir()
	c := connect(t, Config{Dir: dir})
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	f, err := c.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.Write(data); n != len(data) || err != nil {
		t.Fatalf("Write = %d, %v, want %d, nil", n, err, len(data))
	}
	if err := f.Sync(); err != nil {
		t.Errorf("fsync = %v, want nil", err)
	}
	got := make([]byte, len(data))
	if n, err := f.ReadAt(got, 0); n != len(data) || !bytes.Equal(got, data) {
		t.Errorf("ReadAt = %d, %v, want the %d written", n, err, len(data))
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestErrorsKeepTheirCode(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), nil)
	c := connect(t, Config{Dir: dir})
	_, missing := c.Stat("missing")
	_, through := c.Stat("file/x")
	for what, tt := range map[string]struct{ got, want error }{
		"stat of a missing file": {missing, os.ErrNotExist},
		"stat through a file":    {through, os.ErrNotExist},
		"open of a full disk":    {fill(c), sftp.ErrSSHFxFailure},
		"rmdir of a file":        {c.RemoveDirectory("file"), os.ErrNotExist},
		"rename onto a file":     {renameOnto(t, c, dir), sftp.ErrSSHFxFailure},
		"a name with NUL":        {c.Remove("a\x00b"), sftp.ErrSSHFxBadMessage},
	} {
		var status *sftp.StatusError
		if errors.As(tt.got, &status) {
			tt.got = status.FxCode()
		}
		if !errors.Is(tt.got, tt.want) {
			t.Errorf("%s = %v, want %v", what, tt.got, tt.want)
		}
	}
}

// fill writes to a device that is always full.
func fill(c *sftp.Client) error {
	f, err := c.OpenFile("/dev/full", os.O_WRONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write([]byte("x"))
	return err
}

func renameOnto(t *testing.T, c *sftp.Client, dir string) error {
	write(t, filepath.Join(dir, "other"), []byte("keep"))
	err := c.Rename("file", "other")
	if got, _ := os.ReadFile(filepath.Join(dir, "other")); string(got) != "keep" {
		t.Errorf("rename replaced a file: %q, want keep", got)
	}
	return err
}

func TestFullDiskIsNamed(t *testing.T) {
	err := fill(connect(t, Config{}))
	if want := syscall.ENOSPC.Error(); err == nil || !bytes.Contains([]byte(err.Error()), []byte(want)) {
		t.Errorf("write to a full disk = %v, want %q in it", err, want)
	}
}

func TestLinksAndNames(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "real/sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := connect(t, Config{Dir: dir})
	if err := c.Symlink("real/sub", "link"); err != nil {
		t.Fatal(err)
	}
	if got, err := c.ReadLink("link"); got != "real/sub" || err != nil {
		t.Errorf("ReadLink = %q, %v, want the target as it was given", got, err)
	}
	for name, want := range map[string]string{
		"": dir, "link": dir + "/real/sub", "link/..": dir + "/real", "link/new": dir + "/real/sub/new",
	} {
		if got, err := c.RealPath(name); got != want || err != nil {
			t.Errorf("RealPath(%q) = %q, %v, want %q", name, got, err, want)
		}
	}
	if _, err := c.RealPath("missing/new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("RealPath(missing/new) = %v, want not exist", err)
	}
}

func TestAttributes(t *testing.T) {
	dir := t.TempDir()
	c := connect(t, Config{Dir: dir})
	write(t, filepath.Join(dir, "file"), []byte("0123456789"))
	when := time.Unix(1e9, 0)
	for what, err := range map[string]error{
		"truncate": c.Truncate("file", 4), "chmod": c.Chmod("file", 0o4750),
		"chtimes": c.Chtimes("file", when, when.Add(time.Hour)), "chown": c.Chown("file", os.Getuid(), os.Getgid()),
	} {
		if err != nil {
			t.Errorf("%s = %v, want nil", what, err)
		}
	}
	if err := c.Chtimes("file", when, when.Add(time.Hour)); err != nil { // after the truncation, in any order
		t.Error(err)
	}
	st, err := c.Stat("file")
	if err != nil {
		t.Fatal(err)
	}
	raw := st.Sys().(*sftp.FileStat)
	if st.Size() != 4 || raw.Mtime != 1e9+3600 || raw.Atime != 1e9 || int(raw.UID) != os.Getuid() {
		t.Errorf("Stat = size %d, %+v, want size 4 and the times set", st.Size(), raw)
	}
	if st.Mode().Perm() != 0o750 {
		t.Errorf("mode = %v, want 0750", st.Mode())
	}
}

func TestBigDirectory(t *testing.T) {
	dir := t.TempDir()
	var want []string
	for i := range 2500 {
		name := fmt.Sprintf("%04d", i)
		want = append(want, name)
		write(t, filepath.Join(dir, name), nil)
	}
	entries, err := connect(t, Config{}).ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("ReadDir = %d names, want %d", len(got), len(want))
	}
}

func TestHandlesAreBounded(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), nil)
	c := connect(t, Config{Dir: dir, Handles: 3})
	for i := range 4 {
		if _, err := c.Open("file"); (err == nil) != (i < 3) {
			t.Errorf("open number %d = %v, want success for 3", i+1, err)
		}
	}
}

// TestPipesDoNotBlock checks that a pipe without another end cannot hold the
// session for ever.
func TestPipesDoNotBlock(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := connect(t, Config{Dir: dir})
	f, err := c.Open("pipe")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(make([]byte, 1), 0); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("ReadAt of a pipe = %v, want a failure", err)
	}
	if _, err := c.OpenFile("pipe", os.O_WRONLY); err != nil { // has a reader now
		t.Errorf("OpenFile for writing = %v, want nil", err)
	}
}

func TestModeText(t *testing.T) {
	for mode, want := range map[uint32]string{
		0o100644: "-rw-r--r-- ", 0o40755: "drwxr-xr-x ", 0o120777: "lrwxrwxrwx ", 0o10600: "prw------- ",
		0o104755: "-rwsr-xr-x ", 0o102644: "-rw-r-Sr-- ", 0o41777: "drwxrwxrwt ", 0o20620: "crw--w---- ",
	} {
		if got := modeText(mode); got != want {
			t.Errorf("modeText(%o) = %q, want %q", mode, got, want)
		}
	}
}
