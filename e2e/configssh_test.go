//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestConfigSSH has OpenSSH reach a workspace by what config-ssh writes, and by
// nothing else: neither its environment nor its command line tell of Berth.
func TestConfigSSH(t *testing.T) {
	w := newWorld(t)
	h := w.Host("machine")
	s := w.Serve(h)
	s.Agent(h, "ws")
	config := filepath.Join(w.Dir("machine"), ".ssh", "config")
	stranger := &User{Host: h, world: w}
	run := func(program string, args ...string) Result {
		t.Helper()
		return w.Run(stranger.OpenSSH(within(t, patience), program, append([]string{"-F", config, "-o", "BatchMode=yes"}, args...)...))
	}
	u := s.User(h)
	u.MustRun("config-ssh", "--yes")

	t.Run("names", func(t *testing.T) {
		for _, host := range []string{
			"ws.coder", "ws.main.coder", "main.ws.admin.coder", "admin--ws.coder", "admin--ws--main.coder", "Main.WS.Admin.coder",
			"coder.ws", "coder.ws.main", "coder.main.ws.admin", "coder.admin--ws",
		} {
			if got, want := run("ssh", host, "echo hello"), (Result{Stdout: "hello\n"}); got != want {
				t.Errorf("ssh %s = %+v, want %+v", host, got, want)
			}
		}
	})
	t.Run("files", func(t *testing.T) {
		local, remote := filepath.Join(w.Dir("local"), "file"), filepath.Join(w.Dir("remote"), "file")
		writeNoise(t, local, 1<<20)
		if got := run("scp", "-q", local, "ws.coder:"+remote); got != (Result{}) {
			t.Fatalf("scp to the workspace = %+v, want silence", got)
		}
		sameTree(t, local, remote)
	})
	t.Run("one connection for many", func(t *testing.T) {
		before, err := os.ReadFile(config)
		if err != nil {
			t.Fatal(err)
		}
		u.MustRun("config-ssh", "--yes", "-o", "ControlMaster auto", "-o", "ControlPersist=yes", "-o", "ControlPath "+w.Dir("mux")+"/%C")
		want := Result{Stdout: "hello\n"}
		if got := run("ssh", "ws.coder", "echo hello"); got != want {
			t.Errorf("the first ssh = %+v, want %+v", got, want)
		}
		// With a command that leads nowhere there is only the connection of the first.
		if got := run("ssh", "-o", "ProxyCommand=false", "ws.coder", "echo hello"); got != want {
			t.Errorf("the second ssh = %+v, want %+v", got, want)
		}
		if got := run("ssh", "-O", "check", "ws.coder"); got.Code != 0 || !strings.HasPrefix(got.Stderr, "Master running") {
			t.Errorf("ssh -O check = %+v, want a master", got)
		}
		if got := run("ssh", "-O", "exit", "ws.coder"); got.Code != 0 {
			t.Errorf("ssh -O exit = %+v", got)
		}
		u.MustRun("config-ssh", "--yes")
		if after, err := os.ReadFile(config); err != nil || string(after) != string(before) {
			t.Errorf("without those options again, the file is\n%s(%v), want\n%s", after, err, before)
		}
	})
	t.Run("removed", func(t *testing.T) {
		u.MustRun("config-ssh", "--yes", "--remove")
		ctx := within(t, 5*time.Second)
		got := w.Run(stranger.OpenSSH(ctx, "ssh", "-G", "-F", config, "ws.coder"))
		if got.Code != 0 || strings.Contains(got.Stdout, "proxycommand") {
			t.Errorf("ssh -G after --remove = %+v, want no ProxyCommand", got)
		}
	})
}
