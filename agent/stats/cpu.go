//go:build linux

package stats

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// CPU is a sample of how long processors have worked.
type CPU struct {
	At    time.Time
	Busy  time.Duration // of all of them together, since a time in the past
	Cores float64       // how many may work at once
}

// Since returns how many cores have worked on average since an earlier sample.
func (c CPU) Since(before CPU) float64 {
	passed := c.At.Sub(before.At)
	if passed <= 0 || c.Busy < before.Busy {
		return 0
	}
	return (c.Busy - before.Busy).Seconds() / passed.Seconds()
}

// jiffy is the unit of /proc/stat: user space sees the same on every machine.
const jiffy = time.Second / 100

// HostCPU is a sample of the machine's processors.
func (r Resources) HostCPU() (CPU, error) {
	raw, err := os.ReadFile(r.path("/proc/stat"))
	if err != nil {
		return CPU{}, err
	}
	c := CPU{At: time.Now()}
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) >= 8 && fields[0] == "cpu":
			for _, i := range []int{1, 2, 3, 6, 7} { // user, nice, system, irq, softirq; not idle, iowait, steal
				n, err := strconv.ParseInt(fields[i], 10, 64)
				if err != nil {
					return CPU{}, fmt.Errorf("read %s: %w", r.path("/proc/stat"), err)
				}
				c.Busy += time.Duration(n) * jiffy
			}
		case len(fields) > 0 && strings.HasPrefix(fields[0], "cpu"):
			c.Cores++
		}
	}
	if c.Cores == 0 {
		return CPU{}, fmt.Errorf("%s names no processor", r.path("/proc/stat"))
	}
	return c, nil
}

// CPU is a sample of the workspace's processors.
func (r Resources) CPU() (CPU, error) {
	host, err := r.HostCPU()
	if err != nil {
		return CPU{}, err
	}
	if n := r.allowedCores(); n > 0 {
		host.Cores = min(host.Cores, n)
	}
	h, found := r.hierarchy("cpu")
	if !found {
		return host, nil
	}
	group, cores := h.bound(h.quota, host.Cores)
	if group == "" {
		return host, nil
	}
	busy, err := r.busy(h, group)
	if errors.Is(err, fs.ErrNotExist) {
		return host, nil // nobody counts
	}
	if err != nil {
		return CPU{}, err
	}
	return CPU{At: time.Now(), Busy: busy, Cores: cores}, nil
}

// quota returns how many cores' time a group may use.
func (h hierarchy) quota(group string) float64 {
	if !h.v2 {
		return limitOf(filepath.Join(group, "cpu.cfs_quota_us")) / limitOf(filepath.Join(group, "cpu.cfs_period_us"))
	}
	raw, err := os.ReadFile(filepath.Join(group, "cpu.max"))
	if err != nil {
		return math.Inf(1)
	}
	quota, period, _ := strings.Cut(strings.TrimSpace(string(raw)), " ")
	q, err1 := strconv.ParseFloat(quota, 64)
	p, err2 := strconv.ParseFloat(period, 64)
	if err1 != nil || err2 != nil {
		return math.Inf(1) // max
	}
	return q / p
}

// busy returns how long a group's processes have worked. Version 1 counts in a
// hierarchy that may be another one, with the same groups.
func (r Resources) busy(h hierarchy, group string) (time.Duration, error) {
	if h.v2 {
		us, err := numbersIn(filepath.Join(group, "cpu.stat"), "usage_usec")
		if err != nil {
			return 0, err
		}
		return time.Duration(us[0]) * time.Microsecond, nil
	}
	counts, found := r.hierarchy("cpuacct")
	if !found || counts.v2 {
		return 0, fs.ErrNotExist
	}
	ns, err := number(filepath.Join(counts.root, strings.TrimPrefix(group, h.root), "cpuacct.usage"))
	return time.Duration(ns), err
}

// allowedCores is how many this process may run on; 0 when that is not known.
func (r Resources) allowedCores() (n float64) {
	raw, _ := os.ReadFile(r.path("/proc/self/status"))
	_, rest, _ := strings.Cut(string(raw), "\nCpus_allowed_list:")
	list, _, _ := strings.Cut(rest, "\n")
	for part := range strings.SplitSeq(strings.TrimSpace(list), ",") { // such as 0-3,8
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil {
			return 0
		}
		n += float64(to - from + 1)
	}
	return n
}
