//go:build linux

package agent

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berthdev/berth/agent/proto"
)

func TestSecretFiles(t *testing.T) {
	home := t.TempDir()
	write := func(path, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(home, path), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("kept", "old", 0o640)
	write("target", "old", 0o600)
	if err := os.Symlink("target", filepath.Join(home, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(home, "dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	secret := func(path, value string) *proto.WorkspaceSecret {
		return &proto.WorkspaceSecret{FilePath: path, Value: []byte(value)}
	}
	logs := &strings.Builder{}
	a := New(Config{Log: slog.New(slog.NewTextHandler(logs, nil))})
	a.writeSecrets(&proto.Manifest{Secrets: []*proto.WorkspaceSecret{
		secret("~/.config/app/token", "first"), secret("~/.config/app/token", "s3cret"), secret(filepath.Join(home, "kept"), "s3cret"),
		secret("link", "s3cret"), secret("~/dir", "s3cret"), secret("kept/below", "s3cret"),
		{EnvName: "ONLY", Value: []byte("s3cret")},
	}}, home)
	for path, want := range map[string]os.FileMode{".config/app/token": 0o600, "kept": 0o640, "target": 0o600} {
		got, err := os.ReadFile(filepath.Join(home, path))
		st, statErr := os.Stat(filepath.Join(home, path))
		if err != nil || statErr != nil || string(got) != "s3cret" || st.Mode() != want {
			t.Errorf("%s = %q with %v, %v, want the secret with %v", path, got, st.Mode(), err, want)
		}
	}
	if st, err := os.Stat(filepath.Join(home, ".config/app")); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("its directory: %v, %v, want it for the user alone", st.Mode(), err)
	}
	if st, err := os.Lstat(filepath.Join(home, "link")); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v, want it kept", st.Mode(), err)
	}
	if strings.Count(logs.String(), "secret not written") != 2 || strings.Contains(logs.String(), "s3cret") {
		t.Errorf("log = %s, want a word on two files and no secret", logs)
	}
	left, err := filepath.Glob(filepath.Join(home, ".secret-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("files left: %q, %v", left, err)
	}
}
