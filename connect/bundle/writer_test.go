package bundle

import (
	"archive/zip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// unpack reads a bundle as others do.
func unpack(t *testing.T, path string) map[string]string {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatalf("open the bundle: %v", err)
	}
	defer z.Close()
	files := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatalf("open %s: %v", f.Name, err)
		}
		raw, err := io.ReadAll(r) // checks the sum
		if err != nil {
			t.Fatalf("read %s: %v", f.Name, err)
		}
		if f.Mode() != 0o600 {
			t.Errorf("mode of %s = %v, want 0600", f.Name, f.Mode())
		}
		files[f.Name] = string(raw)
	}
	return files
}

func TestBundleIsAZip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.zip")
	w, err := Create(path, &Redactor{})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("2026-11-26 10:00:00 a line of a log\n", MaxFile/16)
	for name, text := range map[string]string{"empty": "", "dir/größe.log": "text\n", "long.log": long} {
		if err := w.Text(name, []byte(text)); err != nil {
			t.Fatalf("Text(%q): %v", name, err)
		}
	}
	if err := w.JSON("a.json", map[string]any{"n": 12345678901234567, "s": "<&>"}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the bundle has its name before it is whole: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("stat = %v, %v, want mode 0600", info, err)
	}
	files := unpack(t, path)
	if got, want := files["a.json"], "{\n  \"n\": 12345678901234567,\n  \"s\": \"<&>\"\n}\n"; got != want {
		t.Errorf("a.json = %q, want %q", got, want)
	}
	if files["empty"] != "" || files["dir/größe.log"] != "text\n" || len(files) != 4 {
		t.Errorf("the bundle has %q", files)
	}
	if got := files["long.log"]; len(got) > MaxFile+100 || !strings.HasPrefix(got, "[the beginning is left out]\n2026-11-26 10:00:00 a line of a log\n") || !strings.HasSuffix(got, "log\n") {
		t.Errorf("a long file has %d bytes and begins %.60q", len(got), got)
	}
}

func TestAbandonedBundleLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(filepath.Join(dir, "b.zip"), &Redactor{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Text("a", []byte("a")); err != nil {
		t.Fatal(err)
	}
	if err := w.Abandon(); err != nil {
		t.Errorf("Abandon() = %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("after Abandon there is %v, %v", left, err)
	}
}

func TestBundleThatIsNotPlacedLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "b.zip")
	w, err := Create(path, &Redactor{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err == nil {
		t.Error("Close() onto a directory = nil, want an error")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("after that there is %v, %v, want the directory only", left, err)
	}
}
