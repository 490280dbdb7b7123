package sshconfig

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestPatchTakesDiffs has patch make the new content of the old one.
func TestPatchTakesDiffs(t *testing.T) {
	for _, c := range []struct{ before, after string }{
		{"", "a\n"},
		{"a\n", ""},
		{"a\nb\nc\nd\ne\n", "a\nb\nc\nd\ne\nf\n"},
		{"a\nb\nc\nd\ne", "a\nb\nc\nd\ne\nf\n"},
		{"1\n2\n3\n4\n5\nold\n6\n7\n8\n9\n", "1\n2\n3\n4\n5\nnew\nnewer\n6\n7\n8\n9\n"},
		{"a\r\nb\r\n", "a\r\nx\r\nb\r\n"},
		{"a\na\na\n", "a\na\n"},
		{"a\n\xff\nb", "a\nb"},
	} {
		file := filepath.Join(t.TempDir(), "config")
		if err := os.WriteFile(file, []byte(c.before), 0o600); err != nil {
			t.Fatal(err)
		}
		diff := Diff("config", []byte(c.before), []byte(c.after))
		cmd := exec.Command("patch", "--binary", "--silent", file)
		cmd.Stdin = bytes.NewReader(diff)
		out, err := cmd.CombinedOutput()
		got, _ := os.ReadFile(file) // patch removes what becomes empty
		if err != nil || string(got) != c.after {
			t.Errorf("patch of %q makes %q, want %q: %v, %s\n%s", c.before, got, c.after, err, out, diff)
		}
	}
	if got := Diff("config", []byte("a\n"), []byte("a\n")); got != nil {
		t.Errorf("Diff of two that are the same = %q, want nothing", got)
	}
}
