//go:build linux

package stats

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// hierarchy is a tree of control groups.
type hierarchy struct {
	v2   bool
	root string // directory of the outermost group that can be seen
	own  string // path below it of the group that this process is in
}

// hierarchy finds the one that a controller has, which version 1 calls by that
// name. There is none when it cannot be seen from here.
func (r Resources) hierarchy(controller string) (h hierarchy, found bool) {
	mounts, err := os.ReadFile(r.path("/proc/self/mountinfo"))
	if err != nil {
		return hierarchy{}, false
	}
	groups, err := os.ReadFile(r.path("/proc/self/cgroup"))
	if err != nil {
		return hierarchy{}, false
	}
	if h, found = findHierarchy(string(mounts), string(groups), controller); !found {
		h, found = findHierarchy(string(mounts), string(groups), "")
	}
	h.root = r.path(h.root)
	return h, found
}

// findHierarchy finds the hierarchy of a controller of version 1, or that of
// version 2 for "", by the texts of /proc/self/mountinfo and /proc/self/cgroup.
func findHierarchy(mounts, groups, controller string) (hierarchy, bool) {
	group, is := groupOf(groups, controller)
	if !is {
		return hierarchy{}, false
	}
	for line := range strings.Lines(mounts) {
		m, is := parseMount(line)
		if !is || !m.has(controller) {
			continue
		}
		if own, below := below(m.root, group); below {
			return hierarchy{v2: controller == "", root: m.point, own: own}, true
		}
	}
	return hierarchy{}, false
}

// groupOf returns the path of the group that a line of /proc/self/cgroup names:
//
//	4:cpu,cpuacct:/docker/3f2a
//	0::/user.slice
func groupOf(groups, controller string) (path string, is bool) {
	for line := range strings.Lines(groups) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) == 3 && slices.Contains(strings.Split(fields[1], ","), controller) {
			return fields[2], true
		}
	}
	return "", false
}

// cgroupMount is a mount of a hierarchy.
type cgroupMount struct {
	kind    string   // of the file system: cgroup or cgroup2
	root    string   // the group that it shows as its root
	point   string   // where
	options []string // of the file system: for version 1 its controllers
}

// parseMount reads a line of /proc/self/mountinfo (proc(5)):
//
//	32 31 0:29 /docker/3f2a /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
//	           root         point              tags…         kind   source options
func parseMount(line string) (m cgroupMount, is bool) {
	where, what, _ := strings.Cut(line, " - ")
	before, after := strings.Fields(where), strings.Fields(what)
	if len(before) < 5 || len(after) < 3 {
		return cgroupMount{}, false
	}
	return cgroupMount{
		kind: after[0], root: unescape(before[3]), point: unescape(before[4]), options: strings.Split(after[2], ","),
	}, true
}

// unescape replaces \ooo, which mountinfo writes for blanks and backslashes.
func unescape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+3 < len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// has reports whether the hierarchy is that of a controller of version 1, or of
// version 2 for "".
func (m cgroupMount) has(controller string) bool {
	if controller == "" {
		return m.kind == "cgroup2"
	}
	return m.kind == "cgroup" && slices.Contains(m.options, controller)
}

// below returns the rest of a path below a root. Paths that lead out of what
// can be seen, as /.. does, are not below.
func below(root, path string) (rest string, is bool) {
	if slices.Contains(strings.Split(root+"/"+path, "/"), "..") {
		return "", false
	}
	rest, err := filepath.Rel(root, path)
	return rest, err == nil && rest != ".." && !strings.HasPrefix(rest, "../")
}

// groups returns the directories of the groups from the root to our own.
func (h hierarchy) groups() []string {
	dirs := []string{h.root}
	for name := range strings.SplitSeq(h.own, "/") {
		if name != "" && name != "." {
			dirs = append(dirs, filepath.Join(dirs[len(dirs)-1], name))
		}
	}
	return dirs
}

// bound returns the group that bounds the workspace, and its limit: see the
// package's comment. It returns "" and most when it is the machine that does.
func (h hierarchy) bound(limit func(group string) float64, most float64) (group string, total float64) {
	total = most
	for _, dir := range h.groups() {
		if l := limit(dir); l < total {
			group, total = dir, l
		}
	}
	if group == "" && !h.whole() {
		group = h.root
	}
	return group, total
}

// whole reports whether the root that can be seen is that of the machine, by
// files that version 1 has nowhere else and version 2 everywhere else.
func (h hierarchy) whole() bool {
	if h.v2 {
		return !exists(filepath.Join(h.root, "cgroup.events"))
	}
	return exists(filepath.Join(h.root, "release_agent"))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// limitOf returns what a file of a group says, infinity if it says max, nothing
// or what nobody understands.
func limitOf(path string) float64 {
	raw, err := os.ReadFile(path)
	if err != nil {
		return math.Inf(1)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(raw)), 10, 64)
	if err != nil {
		return math.Inf(1)
	}
	return float64(n)
}
