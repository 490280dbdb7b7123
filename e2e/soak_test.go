//go:build linux && soak

package e2e

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berthdev/berth/tailnet/netlab"
)

// soakFor is how long the soak lasts.
var soakFor = flag.Duration("soak", 30*time.Minute, "how long the soak lasts")

const (
	// soakPause is the time between two things that go wrong.
	soakPause = 3 * time.Second
	// warmUp is how long processes may grow at first: caches fill, and the
	// collector finds its pace.
	warmUp = 2 * time.Minute
	// grows is how much more memory than after warmUp is no growth: a heap that
	// breathes, and pages of WireGuard's receive buffers that are written for the
	// first time. There are 24 MB of those, of which a burst of packets uses more
	// than any before it did; profiles over half an hour show nothing else, and
	// the live heap the same.
	grows = 12 << 20
	// opens is the same of file descriptors: a connection more or less.
	opens = 8
)

// footprint is what a process takes.
type footprint struct {
	rss     int64 // bytes
	fds     int
	threads int
}

// TestSoak breaks one thing after the other for half an hour while somebody
// works: at the end nothing takes more than after two minutes.
func TestSoak(t *testing.T) {
	w := newWorldAlone(t)
	server, host, home := w.Host("server"), w.Host("machine"), w.Host("home")
	s := w.Serve(server)
	agent := s.Agent(host, "ws")
	user := s.User(home)
	shell := user.Shell("ws")
	faults := []struct {
		what string
		do   func()
	}{
		{"the server crashes", func() { s.Kill9(); s.Restart() }},
		{"the machine's network is gone", func() {
			host.Block(netlab.Filter{})
			passes(t, soakPause)
			host.Unblock(netlab.Filter{})
		}},
		{"the relay is gone for the user", func() {
			home.Block(netlab.Filter{Addr: server.Addr()})
			passes(t, soakPause)
			home.Unblock(netlab.Filter{Addr: server.Addr()})
		}},
	}
	began := time.Now()
	parent := user.MustRun("ssh", "ws", "--", "echo $PPID")
	pids := map[string]string{"agent": fmt.Sprint(agent.PID()), "session host": strings.TrimSpace(parent), "coder ssh": fmt.Sprint(shell.PID())}
	var before map[string]footprint
	rounds := 0
	for time.Since(began) < *soakFor {
		f := faults[rounds%len(faults)]
		f.do()
		shell.MustAwait(patience)
		if got := user.Run(within(t, patience), "ssh", "ws", "--", "seq 1 1000 | tail -1"); got.Code != 0 || got.Stdout != "1000\n" {
			t.Fatalf("coder ssh after %s, %v after the start = %+v", f.what, time.Since(began).Round(time.Second), got)
		}
		if rounds++; before == nil && time.Since(began) > min(warmUp, *soakFor/4) {
			before = footprints(t, pids)
		}
		passes(t, soakPause)
	}
	after := footprints(t, pids)
	t.Logf("%d faults; before %+v, after %+v", rounds, before, after)
	for name, now := range after {
		then := before[name]
		if now.rss > then.rss+grows || now.fds > then.fds+opens || now.threads > then.threads+opens {
			t.Errorf("%s grew from %+v to %+v", name, then, now)
		}
	}
}

// footprints are those of some processes.
func footprints(t *testing.T, pids map[string]string) map[string]footprint {
	t.Helper()
	all := map[string]footprint{}
	for name, pid := range pids {
		all[name] = footprintOf(t, pid)
	}
	return all
}

func footprintOf(t *testing.T, pid string) (f footprint) {
	t.Helper()
	dir := filepath.Join("/proc", pid)
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	f.fds = len(fds)
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var n int64
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &n); err == nil {
			f.rss = n << 10
		}
		if _, err := fmt.Sscanf(line, "Threads: %d", &n); err == nil {
			f.threads = int(n)
		}
	}
	return f
}
