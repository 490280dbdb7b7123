//go:build linux

package stats

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// inGroup makes the test binary a process that measures its group.
const inGroup = "BERTH_TEST_IN_GROUP"

// measured is what it prints.
type measured struct {
	Memory Usage
	CPU    CPU
	Error  string
}

// work is how long it works before.
const work = 100 * time.Millisecond

func measureInGroup() {
	for used := time.Duration(0); used < work; {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			panic(err)
		}
		used = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	var m measured
	var err error
	if m.Memory, err = (Resources{}).Memory(); err == nil {
		m.CPU, err = Resources{}.CPU()
	}
	if err != nil {
		m.Error = err.Error()
	}
	_ = json.NewEncoder(os.Stdout).Encode(m)
}

// TestKernel measures in a group that the kernel bounds. It needs root, and
// hierarchies that can be written to.
func TestKernel(t *testing.T) {
	name := fmt.Sprintf("berth-test-%d", os.Getpid())
	limits := map[string]map[string]string{ // by controller, for each version
		"memory":  {"memory.limit_in_bytes": "67108864", "memory.max": "67108864"},
		"cpu":     {"cpu.cfs_quota_us": "50000", "cpu.max": "50000 100000"},
		"cpuacct": nil,
	}
	var groups []string
	for controller, files := range limits {
		h, found := Resources{}.hierarchy(controller)
		if !found {
			t.Fatalf("no hierarchy for %s: the test needs a machine with control groups", controller)
		}
		if h.v2 && controller != "cpuacct" {
			if err := os.WriteFile(filepath.Join(h.root, "cgroup.subtree_control"), []byte("+"+controller), 0); err != nil {
				t.Fatalf("have %s in groups: %v", controller, err)
			}
		}
		dir := filepath.Join(h.root, name)
		if err := os.Mkdir(dir, 0o700); err == nil {
			t.Cleanup(func() {
				if err := os.Remove(dir); err != nil {
					t.Errorf("remove the group of the test: %v", err)
				}
			})
		} else if !os.IsExist(err) { // hierarchies may be one
			t.Fatalf("make a group: %v", err)
		}
		for file, limit := range files {
			if !exists(filepath.Join(dir, file)) {
				continue // of the other version
			}
			if err := os.WriteFile(filepath.Join(dir, file), []byte(limit), 0); err != nil {
				t.Fatal(err)
			}
		}
		groups = append(groups, filepath.Join(dir, "cgroup.procs"))
	}
	m := runIn(t, groups)
	if m.Error != "" {
		t.Fatalf("measure in a group: %s", m.Error)
	}
	if m.Memory.Total != 64*mib || m.Memory.Used <= 0 || m.Memory.Used > 64*mib {
		t.Errorf("Memory = %+v, want a part of 64 MiB", m.Memory)
	}
	if m.CPU.Cores != 0.5 || m.CPU.Busy < work/2 || m.CPU.Busy > 100*work {
		t.Errorf("CPU = %+v, want half a core that has worked about %v", m.CPU, work)
	}
}

// runIn measures in the groups whose files of processes are given.
func runIn(t *testing.T, procs []string) (m measured) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", append([]string{"-c", `for file; do echo $$ >"$file"; done; exec "$0"`, self}, procs...)...)
	cmd.Env = append(os.Environ(), inGroup+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run in a group: %v", err)
	}
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatalf("output %q: %v", out, err)
	}
	return m
}
