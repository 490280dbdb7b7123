//go:build linux

package e2e

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/tailnet/netlab"
)

// Systemd is a machine whose PID 1 is systemd, on the network of a host. It has
// the files of this machine, what it changes of them is its own, and its cgroups
// are below one of ours.
type Systemd struct {
	Host *netlab.Host

	world  *World
	cgroup string
	pid    string // of its PID 1
}

// hierarchies are the directories that a cgroup of the machine is made in: one
// on cgroup v2, one for each controller on v1.
func hierarchies() ([]string, error) {
	const root = "/sys/fs/cgroup"
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		return []string{root}, nil
	}
	var dirs []string
	for _, name := range []string{"memory", "cpu", "cpuacct", "pids", "systemd"} {
		if _, err := os.Stat(filepath.Join(root, name, "cgroup.procs")); err == nil {
			dirs = append(dirs, filepath.Join(root, name))
		}
	}
	if len(dirs) == 0 {
		return nil, fmt.Errorf("no cgroups below %s", root)
	}
	return dirs, nil
}

// Boot boots systemd on h and returns when it has started its services.
func (w *World) Boot(h *netlab.Host) *Systemd {
	w.t.Helper()
	s := &Systemd{Host: h, world: w, cgroup: "berth-test-" + uuid.NewString()}
	dirs, err := hierarchies()
	if err != nil {
		w.t.Fatalf("boot systemd: %v", err)
	}
	for _, dir := range dirs {
		if err := os.Mkdir(filepath.Join(dir, s.cgroup), 0o755); err != nil {
			w.t.Fatalf("boot systemd: %v", err)
		}
	}
	dir := w.Dir(h.Name() + "-systemd")
	booted, err := fifo(filepath.Join(dir, "booted"))
	if err != nil {
		w.t.Fatalf("boot systemd: %v", err)
	}
	defer booted.Close()
	proc := h.Start(h.Command(context.Background(), "sh", "testdata/systemd.sh", dir, s.cgroup, w.dir, filepath.Dir(w.binary)))
	w.t.Cleanup(func() {
		proc.Kill9()
		for _, dir := range dirs {
			s.removeCgroup(filepath.Join(dir, s.cgroup))
		}
	})
	if _, err := booted.Read(make([]byte, 16)); err != nil {
		w.t.Fatalf("boot systemd: %v\n%s", err, proc.Output())
	}
	if s.pid, err = onlyChild(proc.PID()); err != nil {
		w.t.Fatalf("boot systemd: %v", err)
	}
	return s
}

// fifo makes a pipe that a reader waits at for as long as the harness does.
func fifo(path string) (*os.File, error) {
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	return f, f.SetReadDeadline(time.Now().Add(patience))
}

func onlyChild(pid int) (string, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return "", err
	}
	children := strings.Fields(string(raw))
	if len(children) != 1 {
		return "", fmt.Errorf("process %d has the children %q, want one", pid, children)
	}
	return children[0], nil
}

// removeCgroup removes a cgroup and those below it, whose processes are dying.
func (s *Systemd) removeCgroup(root string) {
	s.world.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		var dirs []string
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for i := len(dirs) - 1; i >= 0; i-- {
			_ = syscall.Rmdir(dirs[i])
		}
		if len(dirs) == 0 {
			return
		}
		select {
		case <-tick.C: // nobody tells when the last process is gone
		case <-deadline:
			s.world.t.Errorf("the cgroup %s is still in use", root)
			return
		}
	}
}

// LimitMemory bounds what the machine may take, in bytes: then its kernel looks
// for a process to kill.
func (s *Systemd) LimitMemory(bytes int64) {
	s.world.t.Helper()
	limit := filepath.Join("/sys/fs/cgroup", s.cgroup, "memory.max")
	if _, err := os.Stat(limit); err != nil {
		limit = filepath.Join("/sys/fs/cgroup/memory", s.cgroup, "memory.limit_in_bytes")
	}
	if err := os.WriteFile(limit, []byte(strconv.FormatInt(bytes, 10)), 0); err != nil {
		s.world.t.Fatalf("limit the machine's memory: %v", err)
	}
}

// Command is a program on the machine, as root.
func (s *Systemd) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := s.Host.Command(ctx, "nsenter", append([]string{
		"--target", s.pid, "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--", program,
	}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	return cmd
}

// Run runs a program on the machine to its end.
func (s *Systemd) Run(program string, args ...string) Result {
	s.world.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.world.Run(s.Command(ctx, program, args...))
}

// MustRun is Run that fails the test when the program does, and returns what it
// wrote to stdout.
func (s *Systemd) MustRun(program string, args ...string) string {
	s.world.t.Helper()
	r := s.Run(program, args...)
	if r.Code != 0 {
		s.world.t.Fatalf("%s %s: exit status %d\n%s%s", program, strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return strings.TrimSpace(r.Stdout)
}

// Write writes a file on the machine, which root alone can read.
func (s *Systemd) Write(path, text string) {
	s.world.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := s.Command(ctx, "sh", "-c", "umask 077; cat > "+strconv.Quote(path))
	cmd.Stdin = strings.NewReader(text)
	if r := s.world.Run(cmd); r.Code != 0 {
		s.world.t.Fatalf("write %s: %s", path, r.Stderr)
	}
}
