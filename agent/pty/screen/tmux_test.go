package screen

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSnapshotInTmux shows snapshots to a terminal that is no relation of
// xterm.js: its text must be ours. tmux joins the parts of some emoji, so the
// sessions have none.
func TestSnapshotInTmux(t *testing.T) {
	tmux, err := exec.LookPath("tmux")
	if err != nil {
		t.Fatalf("this test needs tmux, which scripts/test-deps.sh (make deps) installs: %v", err)
	}
	dir := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(tmux, append([]string{"-S", filepath.Join(dir, "socket"), "-f", "/dev/null", "-u"}, args...)...)
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "SHELL=/bin/sh")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("tmux %q: %v: %s", args, err, out)
		}
		return string(out)
	}
	run("new-session", "-d", "-x", "80", "-y", "24", "exec sleep 300", ";", "set", "-g", "status", "off")
	t.Cleanup(func() { run("kill-server") })
	for _, name := range []string{"vim-0", "htop-0", "mc-0", "dialog-form-0", "nano-0", "git-log-0", "vttest-0", "progress-apt", "tput", "colors-256", "colors-16"} {
		s := New(80, 24)
		for _, r := range readRecorded(t) {
			if r.Name == name {
				play(s, r.Steps[:(len(r.Steps)*2+2)/3])
			}
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, s.Snapshot(), 0o600); err != nil {
			t.Fatal(err)
		}
		run("new-window", "-d", "-n", name, fmt.Sprintf("stty raw -echo; cat %s; exec sleep 300", path))
		want := visibleText(s)
		got := ""
		tick := time.NewTicker(10 * time.Millisecond)
		for deadline := time.Now().Add(20 * time.Second); got != want && time.Now().Before(deadline); <-tick.C {
			got = trimLines(run("capture-pane", "-p", "-t", ":"+name))
		}
		tick.Stop()
		if got != want {
			t.Errorf("tmux shows a snapshot of %s as\n%s\nwant\n%s", name, got, want)
		}
	}
}

// visibleText returns what is on the screen, without looks.
func visibleText(s *Screen) string {
	var out []byte
	for _, l := range s.buf.rows {
		for _, c := range l.cells {
			switch {
			case c.hasContent():
				out = s.appendText(out, c)
			case !c.isHalf():
				out = append(out, ' ')
			}
		}
		out = append(out, '\n')
	}
	return trimLines(string(out))
}

func trimLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}
