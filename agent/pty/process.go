//go:build linux

package pty

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// defaultTerm is what screens here understand and every system has an entry for.
const defaultTerm = "xterm-256color"

// process is the program of a terminal: the leader of a session whose
// controlling terminal is the PTY.
type process struct {
	cmd    *exec.Cmd
	master *os.File // ours; closing it hangs up the session
	slave  *os.File // held so that the program may close and reopen its own

	mu   sync.Mutex
	gone bool // ended; its id may soon be somebody else's
}

// startProcess starts the user's shell, or the command through it, on a new PTY.
func startProcess(login Login, command string, size unix.Winsize, start func(*exec.Cmd) error) (*process, error) {
	master, slave, err := openPTY(size)
	if err != nil {
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	if login.Env == nil {
		login.Env = os.Environ()
	}
	p := &process{master: master, slave: slave, cmd: newCommand(login, command, slave)}
	if start == nil {
		start = (*exec.Cmd).Start
	}
	if err := start(p.cmd); err != nil {
		p.close()
		return nil, fmt.Errorf("start %s: %w", p.cmd.Path, err)
	}
	return p, nil
}

func newCommand(login Login, command string, slave *os.File) *exec.Cmd {
	shell := login.Shell
	if shell == "" {
		shell = lookup(login.Env, "SHELL", "/bin/sh")
	}
	args := []string{"-" + filepath.Base(shell)}
	if command != "" {
		args = []string{filepath.Base(shell), "-c", command}
	}
	term := login.Term
	if term == "" {
		term = defaultTerm
	}
	return &exec.Cmd{
		Path: shell, Args: args, Dir: firstDir(login.Dir, lookup(login.Env, "HOME", "")),
		Env:   append(login.Env[:len(login.Env):len(login.Env)], "TERM="+term, "SSH_TTY="+slave.Name()),
		Stdin: slave, Stdout: slave, Stderr: slave,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Setctty: true},
	}
}

// lookup returns the last value of key in env.
func lookup(env []string, key, otherwise string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(env[i], key+"="); ok && value != "" {
			return value
		}
	}
	return otherwise
}

func firstDir(dirs ...string) string {
	for _, dir := range dirs {
		if st, err := os.Stat(dir); dir != "" && err == nil && st.IsDir() {
			return dir
		}
	}
	return "/"
}

// openPTY returns both ends of a new PTY. The master is non-blocking, so that
// closing it unblocks whoever reads or writes.
func openPTY(size unix.Winsize) (master, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	slave, err = openSlave(fd, size)
	if err != nil {
		_ = master.Close()
		return nil, nil, err
	}
	return master, slave, nil
}

func openSlave(master int, size unix.Winsize) (*os.File, error) {
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		return nil, fmt.Errorf("name: %w", err)
	}
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return nil, fmt.Errorf("unlock: %w", err)
	}
	modes, err := unix.IoctlGetTermios(master, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("get modes: %w", err)
	}
	modes.Iflag |= unix.IUTF8 // backspace deletes a character, not a byte
	if err := unix.IoctlSetTermios(master, unix.TCSETS, modes); err != nil {
		return nil, fmt.Errorf("set modes: %w", err)
	}
	if err := unix.IoctlSetWinsize(master, unix.TIOCSWINSZ, &size); err != nil {
		return nil, fmt.Errorf("set size: %w", err)
	}
	return os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
}

// resize sets the size of the PTY, which tells its foreground processes.
func (p *process) resize(width, height int) error {
	raw, err := p.master.SyscallConn()
	if err != nil {
		return err
	}
	size := winsize(width, height)
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &size) })
	return errors.Join(err, failed)
}

func winsize(width, height int) unix.Winsize {
	return unix.Winsize{Col: uint16(width), Row: uint16(height)}
}

// wait blocks until the program has ended and returns its exit code, 128+n if
// signal n ended it. It reaps it only after signal knows, so that no signal
// ever reaches a later process with its id.
func (p *process) wait() int {
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	_ = p.cmd.Wait() // the state says more than the error
	if p.cmd.ProcessState == nil {
		return 255
	}
	status := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// signal sends sig to the process group, unless its leader has ended.
func (p *process) signal(sig unix.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone {
		_ = unix.Kill(-p.cmd.Process.Pid, sig) // ESRCH: it ends just now
	}
}

// close closes both ends: whatever is left of the session is hung up.
func (p *process) close() {
	_ = p.slave.Close()
	_ = p.master.Close()
}
