//go:build linux

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLoginOpensTheBrowser signs in with a token from the page that it opens.
func TestLoginOpensTheBrowser(t *testing.T) {
	l := newLab(t)
	token := strings.TrimSpace(l.coder(t, "tokens", "create"))
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "xdg-open"), []byte("#!/bin/sh\necho \"$1\" >> '"+bin+"/opened'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for display, want := range map[string]string{":9": l.url + "/cli-auth\n", "": ""} {
		cmd := l.command("login", l.url)
		cmd.Env = append(cmd.Env, "CODER_CONFIG_DIR="+t.TempDir(), "PATH="+bin+":"+os.Getenv("PATH"), "DISPLAY="+display, "WAYLAND_DISPLAY=")
		if out := answering(t, cmd, [2]string{"/cli-auth): ", ""}, [2]string{"Token: ", token}); !strings.Contains(out, "Signed in to") {
			t.Errorf("coder login shows %q", out)
		}
		opened, err := os.ReadFile(filepath.Join(bin, "opened"))
		if err != nil && !errors.Is(err, os.ErrNotExist) || string(opened) != want {
			t.Errorf("with DISPLAY=%q the page %q was opened, %v; want %q", display, opened, err, want)
		}
		_ = os.Remove(filepath.Join(bin, "opened"))
	}
}
