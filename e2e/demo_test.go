//go:build linux

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berthdev/berth/tailnet/netlab"
)

// demo is scripts/demo.sh as `make demo` runs it, on a host of its own.
type demo struct {
	*World
	host   *netlab.Host
	dir    string // with build/coder in it
	script string
}

func newDemo(t *testing.T) *demo {
	t.Helper()
	w := newWorld(t)
	d := &demo{World: w, host: w.Host("machine"), dir: w.Dir("source")}
	script, err := filepath.Abs("../scripts/demo.sh")
	if err != nil {
		t.Fatal(err)
	}
	d.script = script
	w.Dir("source/build")
	if err := os.Symlink(coder, filepath.Join(d.dir, "build", "coder")); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *demo) run(ctx context.Context, env ...string) Result {
	cmd := d.host.Command(ctx, d.script)
	cmd.Dir = d.dir
	cmd.Env = append(d.environ(d.host, "TMPDIR="+d.Dir("tmp")), env...)
	return d.Run(cmd)
}

func TestDemoRunsACommand(t *testing.T) {
	d := newDemo(t)
	for _, test := range []struct {
		env  []string
		want Result
	}{
		{[]string{"CMD=uname -s"}, Result{Stdout: "Linux\n"}},
		{[]string{"CMD=echo \"it's $((6*7))\"; echo oh >&2", "PORT=7099", "RELAY_PORT=3499"}, Result{Stdout: "it's 42\n", Stderr: "oh\n"}},
		{[]string{"CMD=exit 3"}, Result{Stderr: "demo: the command failed with exit code 3\n", Code: 3}},
	} {
		if got := d.run(within(t, time.Minute), test.env...); got != test.want {
			t.Errorf("demo with %q = %+v, want %+v", test.env, got, test.want)
		}
		d.nothingLeft(t)
	}
}

func TestDemoNamesTakenPort(t *testing.T) {
	d := newDemo(t)
	for _, test := range []struct{ taken, env, want string }{
		{"127.0.0.1:7080", "PORT=7080", "127.0.0.1:7080"},
		{"127.0.0.1:3499", "RELAY_PORT=3499", "127.0.0.1:3499"},
	} {
		ln, err := d.host.Listen("tcp", test.taken)
		if err != nil {
			t.Fatal(err)
		}
		got := d.run(within(t, time.Minute), "CMD=true", test.env)
		ln.Close()
		if got.Code != 1 || !strings.Contains(got.Stderr, test.want) || !strings.Contains(got.Stderr, "in use") {
			t.Errorf("demo with %s taken = %+v, want exit status 1 and the address named", test.taken, got)
		}
		d.nothingLeft(t)
	}
}

// TestDemoStaysInTheForeground and ends with Ctrl-C.
func TestDemoStaysInTheForeground(t *testing.T) {
	d := newDemo(t)
	cmd := d.host.Command(context.Background(), d.script)
	cmd.Dir = d.dir
	cmd.Env = d.environ(d.host, "TMPDIR="+d.Dir("tmp"))
	p := d.host.Start(cmd)
	if _, err := p.WaitLine(within(t, time.Minute), "Ctrl-C"); err != nil {
		t.Fatal(err)
	}
	config := ""
	for line := range strings.Lines(p.Output()) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "export CODER_CONFIG_DIR="); ok {
			config = rest
		}
	}
	ssh := d.Coder(within(t, time.Minute), d.host, []string{"CODER_CONFIG_DIR=" + config}, "ssh", "demo", "--", "echo hello")
	if r := d.Run(ssh); r.Code != 0 || r.Stdout != "hello\n" {
		t.Errorf("coder ssh demo, as the demo says it = %+v, want hello", r)
	}
	if err := p.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(within(t, 20*time.Second)); err == nil || err.Error() != "exit status 130" {
		t.Errorf("end of the demo after Ctrl-C: %v, want exit status 130", err)
	}
	d.nothingLeft(t)
}

// nothingLeft fails the test when a process or a file is left of the demo.
func (d *demo) nothingLeft(t *testing.T) {
	t.Helper()
	files, err := os.ReadDir(d.Dir("tmp"))
	if err != nil || len(files) > 0 {
		t.Errorf("files left of the demo: %v, %v; want none", files, err)
	}
	if left := processesOn(t, d.host); len(left) > 0 {
		t.Errorf("processes left of the demo: %q, want none", left)
	}
}

// processesOn are the command lines of the processes on a host.
func processesOn(t *testing.T, h *netlab.Host) []string {
	t.Helper()
	var namespace string
	err := h.Do(func() (err error) {
		namespace, err = os.Readlink("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	all, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, link := range all {
		pid := strings.Split(link, "/")[2]
		at, err := os.Readlink(link)
		if err != nil || at != namespace || pid == fmt.Sprint(os.Getpid()) {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
		if err == nil && len(line) > 0 { // else it has just ended
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}
