//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDotfilesSurviveKills kills the command again and again while it gives files
// of the user other names.
func TestDotfilesSurviveKills(t *testing.T) {
	const files = 400
	dir := t.TempDir()
	repo, home := filepath.Join(dir, "repo"), filepath.Join(dir, "home")
	for _, d := range []string{repo, home} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for i := range files {
		name := fmt.Sprintf(".file%03d", i)
		for d, text := range map[string]string{repo: "theirs", home: "mine " + name} {
			if err := os.WriteFile(filepath.Join(d, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, args := range []string{"init -q -b main", "add -A", "-c user.name=t -c user.email=t@example.com commit -qm files"} {
		if out, err := exec.Command("git", append([]string{"-C", repo}, strings.Fields(args)...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args, err, out)
		}
	}
	// run kills the command when it has made so many links.
	run := func(links int) error {
		cmd := exec.Command("coder", "--global-config", filepath.Join(dir, "config"), "dotfiles", "--yes", repo)
		cmd.Env = append(os.Environ(), "HOME="+home)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for links > 0 && lines.Scan() {
			links--
		}
		_ = cmd.Process.Kill()
		return cmd.Wait()
	}
	for _, links := range []int{1, 2, 3, 30, 40, 50, 60, files} {
		err := run(links)
		for i := range files {
			checkKept(t, home, fmt.Sprintf(".file%03d", i), false)
		}
		t.Logf("killed after %d links: %v", links, err)
	}
	for i := range files {
		checkKept(t, home, fmt.Sprintf(".file%03d", i), true)
	}
	if left, err := filepath.Glob(filepath.Join(home, ".*")); err != nil || len(left) != 2*files {
		t.Errorf("the home has %d files, %v, want %d links and as many that were there", len(left), err, files)
	}
}

// checkKept makes sure that a file of the user is there under one of its names,
// and, once all is done, under the second.
func checkKept(t *testing.T, home, name string, done bool) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(home, name+".bak"))
	if err != nil && !done {
		text, err = os.ReadFile(filepath.Join(home, name))
	}
	if err != nil || string(text) != "mine "+name {
		t.Errorf("%s of the user is %q, %v", name, text, err)
	}
	if led, err := os.Readlink(filepath.Join(home, name)); done && (err != nil || !strings.HasSuffix(led, "/dotfiles/"+name)) {
		t.Errorf("%s leads to %q, %v", name, led, err)
	}
}
