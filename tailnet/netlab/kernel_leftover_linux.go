package netlab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// killPatience is how long a killed process may take to be gone. It is long
// because a loaded machine frees a large process slowly.
const killPatience = 10 * time.Second

// Namespaces are named netlab-<pid>.<start>-<lab>-<node>. The start time of the
// process (field 22 of /proc/pid/stat) tells it from a later one with its pid.
var namePattern = regexp.MustCompile(`^netlab-(\d+)\.(\d+)-`)

// namePrefix is what the names of this process begin with.
func namePrefix() (string, error) {
	start, err := startTime(os.Getpid())
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("netlab-%d.%d-", os.Getpid(), start), nil
}

// startTime is when a process started, in clock ticks since boot.
func startTime(pid int) (uint64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The command's name, in parentheses, may hold anything; fields count
	// from 3 after it.
	_, after, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
	fields := strings.Fields(after)
	if len(fields) < 20 {
		return 0, fmt.Errorf("read start time of process %d: short stat", pid)
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// removeLeftovers removes the labs of processes that have ended.
func removeLeftovers() error {
	entries, err := os.ReadDir(namespaceDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var errs []error
	for _, e := range entries {
		if orphaned(e.Name()) {
			errs = append(errs, removeNamespace(e.Name()))
		}
	}
	return errors.Join(errs...)
}

// orphaned reports whether name is that of a lab's namespace whose process is
// no more.
func orphaned(name string) bool {
	m := namePattern.FindStringSubmatch(name)
	if m == nil {
		return false
	}
	pid, err := strconv.Atoi(m[1])
	if err != nil {
		return false
	}
	start, err := startTime(pid)
	return err != nil || strconv.FormatUint(start, 10) != m[2]
}

// removeNamespace kills every process inside and removes the name. Another
// process may be removing the same leftover; then it is gone, which is fine.
func removeNamespace(name string) error {
	path := filepath.Join(namespaceDir, name)
	if err := killInside(path); err != nil {
		return fmt.Errorf("clear namespace %s: %w", name, err)
	}
	if err := command("ip", "netns", "delete", name); err != nil {
		if _, gone := os.Stat(path); errors.Is(gone, os.ErrNotExist) {
			return nil
		}
		return err
	}
	return nil
}

// killInside kills until nobody is left: the killed may have forked meanwhile.
func killInside(path string) error {
	deadline := time.Now().Add(killPatience)
	for {
		in, err := nsfsFile(path)
		if errors.Is(err, unix.ENOENT) {
			return nil
		}
		if err != nil {
			return err
		}
		pids, err := inside(in)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if err := kill(pid, in, time.Until(deadline)); err != nil {
				return err
			}
		}
	}
}

// nsfsID is what tells one namespace from another.
type nsfsID struct{ dev, ino uint64 }

func nsfsFile(path string) (nsfsID, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nsfsID{}, fmt.Errorf("stat %s: %w", path, err)
	}
	return nsfsID{uint64(st.Dev), st.Ino}, nil
}

// isInside reports whether a living process is in the namespace.
func isInside(pid int, in nsfsID) bool {
	got, err := nsfsFile(fmt.Sprintf("/proc/%d/ns/net", pid))
	return err == nil && got == in
}

// inside lists the processes in a namespace, without this one: one of its
// threads may be there for a moment.
func inside(in nsfsID) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err == nil && pid != os.Getpid() && isInside(pid, in) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// kill ends one process of a namespace by SIGKILL and waits until it is dead.
// It looks again once it holds the process, whose pid may be another's by now.
func kill(pid int, in nsfsID, patience time.Duration) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if !isInside(pid, in) {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	return awaitDeath(fd, pid, patience)
}

func awaitDeath(fd, pid int, patience time.Duration) error {
	for deadline := time.Now().Add(patience); ; {
		left := max(0, time.Until(deadline))
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("wait for process %d: %w", pid, err)
		case n == 0:
			return fmt.Errorf("process %d outlives SIGKILL by %v", pid, patience)
		default:
			return nil
		}
	}
}
