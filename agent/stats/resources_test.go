//go:build linux

package stats

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// files are those of a machine, by their paths.
type files map[string]string

// with returns files with others on top.
func (f files) with(more files) files {
	all := maps.Clone(f)
	maps.Copy(all, more)
	return all
}

// resources are those of a machine that has these files and nothing else.
func (f files) resources(t *testing.T) Resources {
	t.Helper()
	root := t.TempDir()
	for path, text := range f {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Resources{Root: root}
}

const (
	mib = 1 << 20
	gib = 1 << 30
)

// machine has 16 GiB, 4 of them used, and 4 processors.
var machine = files{
	"proc/meminfo":     "MemTotal:       16777216 kB\nMemFree:         8388608 kB\nMemAvailable:   12582912 kB\n",
	"proc/stat":        "cpu  1000 200 300 50000 400 50 60 700 80 0\ncpu0 1 2 3 4 5 6 7 8 9 0\ncpu1 1\ncpu2 1\ncpu3 1\nintr 1 2 3\nctxt 4\n",
	"proc/self/status": "Name:\tcoder\nCpus_allowed:\tf\nCpus_allowed_list:\t0-3\n",
}

var (
	hostMemory = Usage{Used: 4 * gib, Total: 16 * gib}
	hostCPU    = CPU{Busy: 16100 * time.Millisecond, Cores: 4}
)

// version 2, in which a container sees its own group as the root.
var v2 = machine.with(files{
	"proc/self/mountinfo": "22 27 0:21 / /proc rw,relatime - proc proc rw\n31 23 0:28 / /sys/fs/cgroup ro,nosuid shared:9 - cgroup2 cgroup rw,nsdelegate\n",
	"proc/self/cgroup":    "0::/\n",
})

// group2 are the files of a group of version 2.
func group2(path, memoryMax, cpuMax string) files {
	dir := filepath.Join("sys/fs/cgroup", path)
	return files{
		dir + "/cgroup.events":  "populated 1\nfrozen 0\n",
		dir + "/memory.max":     memoryMax + "\n",
		dir + "/memory.current": "536870912\n", // 512 MiB
		dir + "/memory.stat":    "anon 4096\nfile 8192\ninactive_file 134217728\n",
		dir + "/cpu.max":        cpuMax + "\n",
		dir + "/cpu.stat":       "usage_usec 7500000\nuser_usec 1\nsystem_usec 2\n",
	}
}

// used2 is what group2 uses: its memory without the cache.
const used2 = 384 * mib

func cpu2(cores float64) CPU { return CPU{Busy: 7500 * time.Millisecond, Cores: cores} }

// version 1 in a container that sees the groups' names on the machine.
var v1 = machine.with(files{
	"proc/self/mountinfo": "32 31 0:29 /docker/3f2a /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n" +
		"35 31 0:32 /docker/3f2a /sys/fs/cgroup/memory ro master:16 - cgroup cgroup rw,memory\n" +
		"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
	"proc/self/cgroup": "4:memory:/docker/3f2a\n3:cpuacct,cpu:/docker/3f2a\n1:name=systemd:/docker/3f2a\n0::/\n",
})

// group1 are the files of a group of version 1.
func group1(path, memoryLimit, quota string) files {
	cpu, memory := filepath.Join("sys/fs/cgroup/cpu,cpuacct", path), filepath.Join("sys/fs/cgroup/memory", path)
	return files{
		memory + "/memory.limit_in_bytes": memoryLimit + "\n",
		memory + "/memory.usage_in_bytes": "536870912\n",
		memory + "/memory.stat":           "inactive_file 4096\ntotal_inactive_file 134217728\n",
		cpu + "/cpu.cfs_quota_us":         quota + "\n",
		cpu + "/cpu.cfs_period_us":        "100000\n",
		cpu + "/cpuacct.usage":            "7500000000\n",
	}
}

// unlimited1 is what version 1 says for no limit.
const unlimited1 = "9223372036854771712"

// atRoot are the files that only the root of version 1 has.
var atRoot = files{
	"sys/fs/cgroup/memory/release_agent":      "\n",
	"sys/fs/cgroup/cpu,cpuacct/release_agent": "\n",
}

func TestResources(t *testing.T) {
	nested2 := v2.with(files{"proc/self/cgroup": "0::/system.slice/agent.service\n"}).with(group2(".", "max", "max 100000"))
	nested1 := v1.with(files{
		"proc/self/mountinfo": "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
	}).with(group1(".", unlimited1, "-1"))
	for _, tc := range []struct {
		what   string
		files  files
		memory Usage
		cpu    CPU
	}{
		{"no groups", machine, hostMemory, hostCPU},
		{
			"container", v2.with(group2(".", "1073741824", "150000 100000")),
			Usage{used2, gib},
			cpu2(1.5),
		},
		{
			"container without limits", v2.with(group2(".", "max", "max 100000")),
			Usage{used2, 16 * gib},
			cpu2(4),
		},
		{
			"container with more than there is", v2.with(group2(".", "68719476736", "800000 100000")),
			Usage{used2, 16 * gib},
			cpu2(4),
		},
		{
			"container on two processors", v2.with(group2(".", "max", "max 100000")).with(files{"proc/self/status": "Name:\tcoder\nCpus_allowed_list:\t1,3\n"}),
			Usage{used2, 16 * gib},
			cpu2(2),
		},
		{
			"container in which nobody counts memory", v2.with(files{"sys/fs/cgroup/cgroup.events": "", "sys/fs/cgroup/cpu.stat": "usage_usec 7500000\n"}),
			hostMemory, cpu2(4),
		},
		{
			"the inner limit is the least",
			nested2.with(group2(".", "8589934592", "300000 100000")).with(group2("system.slice", "max", "max 100000")).with(group2("system.slice/agent.service", "2147483648", "50000 100000")),
			Usage{used2, 2 * gib},
			cpu2(0.5),
		},
		{
			"the outer limit is the least",
			nested2.with(group2("system.slice", "1073741824", "50000 100000")).with(group2("system.slice/agent.service", "1073741824", "150000 100000")).
				with(files{"sys/fs/cgroup/system.slice/agent.service/memory.current": "4096\n", "sys/fs/cgroup/system.slice/agent.service/cpu.stat": "usage_usec 1\n"}),
			Usage{used2, gib},
			cpu2(0.5),
		},
		{
			"machine", v2.with(files{"proc/self/cgroup": "0::/user.slice\n", "sys/fs/cgroup/cpu.stat": "usage_usec 1\n"}).with(group2("user.slice", "max", "max 100000")),
			hostMemory, hostCPU,
		},
		{
			"machine on which we have less", v2.with(files{"proc/self/cgroup": "0::/user.slice\n"}).with(group2("user.slice", "1073741824", "100000 100000")),
			Usage{used2, gib},
			cpu2(1),
		},
		{
			"our group is out of sight", v2.with(files{"proc/self/cgroup": "0::/../../agent\n"}).with(group2(".", "1073741824", "100000 100000")),
			hostMemory, hostCPU,
		},
		{
			"mounted elsewhere",
			v2.with(files{"proc/self/mountinfo": "31 23 0:28 /a /sys/fs/c\\040g rw - cgroup2 c rw\n", "proc/self/cgroup": "0::/a\n"}).
				with(group2("../c g", "1073741824", "150000 100000")),
			Usage{used2, gib},
			cpu2(1.5),
		},
		{
			"container of version 1", v1.with(group1(".", "1073741824", "150000")),
			Usage{used2, gib},
			cpu2(1.5),
		},
		{
			"container of version 1 without limits", v1.with(group1(".", unlimited1, "-1")),
			Usage{used2, 16 * gib},
			cpu2(4),
		},
		{
			"machine of version 1", nested1.with(atRoot).with(group1("docker/3f2a", unlimited1, "-1")),
			hostMemory, hostCPU,
		},
		{
			"machine of version 1 on which we have less", nested1.with(atRoot).with(group1("docker/3f2a", "1073741824", "150000")),
			Usage{used2, gib},
			cpu2(1.5),
		},
		{
			"container of version 1 that sees itself as the root", nested1.with(files{"proc/self/cgroup": "4:memory:/\n3:cpuacct,cpu:/\n"}),
			Usage{used2, 16 * gib},
			cpu2(4),
		},
	} {
		t.Run(tc.what, func(t *testing.T) {
			r := tc.files.resources(t)
			memory, err := r.Memory()
			if memory != tc.memory || err != nil {
				t.Errorf("Memory = %+v, %v, want %+v", memory, err, tc.memory)
			}
			cpu, err := r.CPU()
			cpu.At = time.Time{}
			if cpu != tc.cpu || err != nil {
				t.Errorf("CPU = %+v, %v, want %+v", cpu, err, tc.cpu)
			}
			if memory, err := r.HostMemory(); memory != hostMemory || err != nil {
				t.Errorf("HostMemory = %+v, %v, want %+v", memory, err, hostMemory)
			}
		})
	}
}

// TestResourcesThatCannotBeRead are errors, not zeros.
func TestResourcesThatCannotBeRead(t *testing.T) {
	for what, f := range map[string]files{
		"no proc":              {},
		"half a meminfo":       machine.with(files{"proc/meminfo": "MemTotal: 1 kB\n", "proc/stat": "x\n"}),
		"numbers that are not": v2.with(group2(".", "1073741824", "100000 100000")).with(files{"sys/fs/cgroup/memory.current": "many\n", "sys/fs/cgroup/cpu.stat": "usage_usec much\n"}),
		"no name in the files": v2.with(group2(".", "1073741824", "100000 100000")).with(files{"sys/fs/cgroup/memory.stat": "anon 1\n", "sys/fs/cgroup/cpu.stat": "nr_periods 1\n"}),
		"jiffies that are not": machine.with(files{"proc/stat": "cpu a b c d e f g h\ncpu0 1\n", "proc/meminfo": ""}),
	} {
		r := f.resources(t)
		if got, err := r.Memory(); err == nil {
			t.Errorf("%s: Memory = %+v, want an error", what, got)
		}
		if got, err := r.CPU(); err == nil {
			t.Errorf("%s: CPU = %+v, want an error", what, got)
		}
	}
}

func TestCPUSince(t *testing.T) {
	at := time.Now()
	before := CPU{At: at, Busy: time.Hour}
	for _, tc := range []struct {
		passed, busy time.Duration
		want         float64
	}{
		{2 * time.Second, 3 * time.Second, 1.5},
		{time.Second, 0, 0},
		{0, time.Second, 0},            // no time
		{time.Second, -time.Second, 0}, // another group
	} {
		if got := (CPU{At: at.Add(tc.passed), Busy: time.Hour + tc.busy}).Since(before); got != tc.want {
			t.Errorf("after %v of %v: Since = %v, want %v", tc.busy, tc.passed, got, tc.want)
		}
	}
}

func TestDisk(t *testing.T) {
	got, err := Disk(t.TempDir())
	if err != nil || got.Used <= 0 || got.Total < got.Used {
		t.Errorf("Disk = %+v, %v, want a part of all of it", got, err)
	}
	if got, err := Disk("/no/such/path"); err == nil {
		t.Errorf("Disk of a path that is not = %+v, want an error", got)
	}
}

// TestThisMachine reads the real files.
func TestThisMachine(t *testing.T) {
	var r Resources
	for what, measure := range map[string]func() (Usage, error){"HostMemory": r.HostMemory, "Memory": r.Memory} {
		if got, err := measure(); err != nil || got.Used <= 0 || got.Total < got.Used {
			t.Errorf("%s = %+v, %v, want a part of all of it", what, got, err)
		}
	}
	for what, measure := range map[string]func() (CPU, error){"HostCPU": r.HostCPU, "CPU": r.CPU} {
		if got, err := measure(); err != nil || got.Busy <= 0 || got.Cores <= 0 {
			t.Errorf("%s = %+v, %v, want some", what, got, err)
		}
	}
}

func FuzzGroups(f *testing.F) {
	for _, files := range []files{v1, v2} {
		f.Add(files["proc/self/mountinfo"], files["proc/self/cgroup"], "memory")
	}
	f.Add("31 23 0:28 /../.. /sys/fs/c\\040\\777\\08 rw - cgroup2 c rw", "0::/a/../b", "")
	f.Fuzz(func(t *testing.T, mounts, groups, controller string) {
		h, found := findHierarchy(mounts, groups, controller)
		if !found {
			return
		}
		h.root = "/sys"
		for _, dir := range h.groups() {
			if _, is := below("/sys", dir); !is {
				t.Errorf("group %q of %+v is not below its root", dir, h)
			}
		}
	})
}
