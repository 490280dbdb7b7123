//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/berthdev/berth/tailnet/netlab"
)

// TestTextEditors has editors that use OpenSSH change a file in a workspace, which
// they reach by what config-ssh writes.
func TestTextEditors(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	config := filepath.Join(p.Dir("client"), ".ssh", "config")
	p.user.MustRun("config-ssh", "--yes", "--ssh-config-file", config)
	// OpenSSH looks for the file in the home of the account, which all tests share.
	bin := p.Dir("bin")
	for _, program := range []string{"ssh", "scp"} {
		script := fmt.Sprintf("#!/bin/sh\nexec /usr/bin/%s -F '%s' \"$@\"\n", program, config)
		if err := os.WriteFile(filepath.Join(bin, program), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	run := func(program string, args ...string) string {
		t.Helper()
		u := &User{Host: p.client, Env: []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + p.Dir("client")}, world: p.World}
		r := p.Run(u.OpenSSH(within(t, patience), program, args...))
		if r.Code != 0 {
			t.Fatalf("%s = %d\n%s%s", program, r.Code, r.Stdout, r.Stderr)
		}
		return r.Stdout
	}
	file := filepath.Join(p.Dir("box"), "notes")
	if err := os.WriteFile(file, []byte("first\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	holds := func(want string) {
		t.Helper()
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("the file holds %q (%v), want %q", got, err, want)
		}
	}

	out := run("emacs", "--batch", "-Q", "--eval", fmt.Sprintf(`(progn
  (find-file "/ssh:ws.coder:%s")
  (goto-char (point-max)) (insert "by Emacs\n") (save-buffer)
  (princ (shell-command-to-string "echo $SSH_CONNECTION | wc -w"))
  (princ (directory-files default-directory nil "^notes$")))`, file))
	if want := "4\n(notes)"; out != want {
		t.Errorf("a command and a directory in Emacs = %q, want %q", out, want)
	}
	holds("first\nby Emacs\n")

	run("vim", "-N", "-es", "-u", "NONE", "-i", "NONE", "-c", "runtime plugin/netrwPlugin.vim",
		"-c", "edit scp://ws.coder/"+file, "-c", "$put ='by Vim'", "-c", "write", "-c", "qa!")
	holds("first\nby Emacs\nby Vim\n")
}
