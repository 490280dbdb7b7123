//go:build linux

package sshd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

var errClosing = errors.New("ssh server is closing")

// process is the shell or command of one session, the leader of a session and
// process group of its own.
type process struct {
	cmd *exec.Cmd
	io  *stdio

	mu   sync.Mutex
	gone bool // ended; its id may soon be somebody else's
}

// newProcess prepares the user's shell: a login shell, or, with a command that
// is not nil, one that runs it.
func newProcess(shell string, command *string, dir string, env []string, io *stdio) *process {
	args := []string{"-" + filepath.Base(shell)}
	if command != nil {
		args = []string{filepath.Base(shell), "-c", *command}
	}
	return &process{io: io, cmd: &exec.Cmd{
		Path: shell, Args: args, Dir: dir, Env: env,
		Stdin: io.child[0], Stdout: io.child[1], Stderr: io.child[2],
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Setctty: io.terminal != ""},
	}}
}

// start runs the process as an ordinary one: the agent's own score for the
// kernel's choice of victims and its priority are for the agent alone. What
// the kernel does not permit stays as it is.
func (p *process) start(oomScore string) error {
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.cmd.Path, err)
	}
	pid := p.cmd.Process.Pid
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte(oomScore), 0)
	_ = unix.Setpriority(unix.PRIO_PROCESS, pid, 0)
	return nil
}

// oomScore returns the oom_score_adj of sessions: what the agent was told, if
// that is one.
func oomScore(environ []string) string {
	score := lastOf(environ, "CODER_PROC_OOM_SCORE")
	if n, err := strconv.Atoi(score); err != nil || n < -1000 || n > 1000 {
		return "0"
	}
	return score
}

// wait blocks until the process has ended and says how. It reaps it only after
// signal knows, so that no signal ever reaches a later process with its id.
func (p *process) wait() syscall.WaitStatus {
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
		return syscall.WaitStatus(exitUnknown << 8)
	}
	return p.cmd.ProcessState.Sys().(syscall.WaitStatus)
}

// signal sends sig to the process group, unless its leader has ended.
func (p *process) signal(sig unix.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone {
		_ = unix.Kill(-p.cmd.Process.Pid, sig) // ESRCH: it ends just now
	}
}

// farewell is the signal that asks p to end.
func (p *process) farewell() unix.Signal {
	if p.io.terminal != "" {
		return unix.SIGHUP
	}
	return unix.SIGTERM
}

// firstDir returns the first of dirs that is a directory, else the root.
func firstDir(dirs ...string) string {
	for _, dir := range dirs {
		if st, err := os.Stat(dir); dir != "" && err == nil && st.IsDir() {
			return dir
		}
	}
	return "/"
}
