//go:build linux

package stats

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Resources measures what a workspace uses, and its machine. The zero value is
// about the workspace that this process is in.
type Resources struct {
	// Root is the directory that /proc and /sys are in; "" means /.
	Root string
}

// Usage is how much there is of something and how much of it is used, in bytes.
type Usage struct {
	Used, Total int64
}

func (r Resources) path(name string) string { return filepath.Join(r.Root, name) }

// HostMemory is that of the machine. What can be had at once, caches, counts as
// free.
func (r Resources) HostMemory() (Usage, error) {
	kib, err := numbersIn(r.path("/proc/meminfo"), "MemTotal:", "MemAvailable:")
	if err != nil {
		return Usage{}, err
	}
	return Usage{Used: (kib[0] - kib[1]) << 10, Total: kib[0] << 10}, nil
}

// Memory is that of the workspace. Files that were read and not again lately
// count as free: the kernel gives them up first.
func (r Resources) Memory() (Usage, error) {
	host, err := r.HostMemory()
	if err != nil {
		return Usage{}, err
	}
	h, found := r.hierarchy("memory")
	if !found {
		return host, nil
	}
	limit, current, inactive := "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
	if h.v2 {
		limit, current, inactive = "memory.max", "memory.current", "inactive_file"
	}
	group, total := h.bound(func(dir string) float64 { return limitOf(filepath.Join(dir, limit)) }, float64(host.Total))
	if group == "" {
		return host, nil
	}
	used, err := number(filepath.Join(group, current))
	if errors.Is(err, fs.ErrNotExist) {
		return host, nil // nobody counts
	}
	if err != nil {
		return Usage{}, err
	}
	cache, err := numbersIn(filepath.Join(group, "memory.stat"), inactive)
	if err != nil {
		return Usage{}, err
	}
	return Usage{Used: max(used-cache[0], 0), Total: int64(total)}, nil
}

// Disk measures the file system that a path is in. Its total is what users can
// have, without what is kept for root, as df counts for its percentage. It
// blocks as long as the file system does, which over a network may be for ever.
func Disk(path string) (Usage, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return Usage{}, fmt.Errorf("measure %s: %w", path, err)
	}
	used, block := int64(st.Blocks-st.Bfree), int64(st.Frsize)
	return Usage{Used: used * block, Total: (used + int64(st.Bavail)) * block}, nil
}

// number reads a file that has one.
func number(path string) (int64, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", path, err)
	}
	return n, nil
}

// numbersIn reads the numbers after names in a file that has a line for each.
func numbersIn(path string, names ...string) ([]int64, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		if fields := strings.Fields(line); len(fields) >= 2 {
			found[fields[0]] = fields[1]
		}
	}
	numbers := make([]int64, len(names))
	for i, name := range names {
		if numbers[i], err = strconv.ParseInt(found[name], 10, 64); err != nil {
			return nil, fmt.Errorf("read %s in %s: %w", name, path, err)
		}
	}
	return numbers, nil
}
