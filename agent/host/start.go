//go:build linux

package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// maxLog is the size at which a host's log begins anew; the one before stays
// beside it.
const maxLog = 1 << 20

// Start starts the process of a host, which runs this program with args, and
// returns. The process is in a session of its own, so that nothing that ends
// this one reaches it, and inherits nothing but environ and the log file.
func Start(args, environ []string, logFile string) error {
	log, err := openLog(logFile)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", // this binary, also after a newer one took its place
		Args: append([]string{os.Args[0]}, args...),
		Dir:  "/", Env: inherited(environ), Stdout: log, Stderr: log,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go cmd.Wait() // reaps it, should it end before this process
	return nil
}

// openLog opens a log file for its own user only. A name in a directory that
// others can write to may be taken by a link or a file of somebody else.
func openLog(name string) (*os.File, error) {
	if st, err := os.Lstat(name); err == nil && st.Mode().IsRegular() && st.Size() > maxLog {
		if err := os.Rename(name, name+".1"); err != nil {
			return nil, fmt.Errorf("begin a new log: %w", err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the log: %w", err)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	st, err := f.Stat()
	if err == nil && (!st.Mode().IsRegular() || st.Sys().(*syscall.Stat_t).Uid != uint32(os.Geteuid())) {
		err = errors.New("not a file of this user")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("log file %s: %w", name, err), f.Close())
	}
	return f, nil
}

// own holds variables by which a service manager talks to the agent and nobody
// else.
var own = []string{"NOTIFY_SOCKET=", "WATCHDOG_PID=", "WATCHDOG_USEC=", "LISTEN_FDS=", "LISTEN_PID=", "LISTEN_FDNAMES=", "INVOCATION_ID=", "JOURNAL_STREAM="}

// inherited returns the part of the agent's environment that user processes
// inherit.
func inherited(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		return slices.ContainsFunc(own, func(prefix string) bool { return strings.HasPrefix(entry, prefix) })
	})
}
