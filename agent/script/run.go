//go:build linux

package script

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// killGrace is what a script has between SIGTERM and SIGKILL (reference:
	// agent §5).
	killGrace = 10 * time.Second
	// pipesGrace is how long a script that has ended may leave its output open
	// without a word on it. Existing agents wait 10 s, in which the start of a
	// workspace stands still.
	pipesGrace = time.Second
	// notStarted is the exit code of what did not run.
	notStarted = 255
)

// process is one run of a script: the leader of a process group, and the pipes
// that it and its children print into.
type process struct {
	cmd       *exec.Cmd
	out, errs *os.File      // our ends
	ended     chan struct{} // closed when the leader has ended; it is not reaped then
}

// startProcess starts a script whose text is in a file, or given to the shell
// when there is no room for a file.
func startProcess(s Script, login Login, file string, start func(*exec.Cmd) error) (*process, error) {
	p := &process{cmd: command(s, login, file), ended: make(chan struct{})}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd.Stdin = out
	var theirs [2]*os.File
	for i, end := range []**os.File{&p.out, &p.errs} {
		if *end, theirs[i], err = os.Pipe(); err != nil {
			p.closePipes()
			return nil, err
		}
		defer theirs[i].Close()
	}
	p.cmd.Stdout, p.cmd.Stderr = theirs[0], theirs[1]
	if err := start(p.cmd); err != nil {
		p.closePipes()
		return nil, fmt.Errorf("start %s: %w", p.cmd.Path, err)
	}
	go p.watch()
	return p, nil
}

func (p *process) closePipes() {
	for _, end := range []*os.File{p.out, p.errs} {
		if end != nil {
			_ = end.Close()
		}
	}
}

// watch closes ended. The leader stays a zombie until reap, so that its group
// cannot be somebody else's when it is signalled.
func (p *process) watch() {
	defer close(p.ended)
	for errors.Is(unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
}

// signal sends sig to the whole group.
func (p *process) signal(sig unix.Signal) { _ = unix.Kill(-p.cmd.Process.Pid, sig) } // ESRCH: all have ended

// end waits until the leader has ended, which it is told to when ctx is done,
// and made to when it does not or alive is done too; then its group ends with
// it. It reports whether ctx was done first.
func (p *process) end(ctx, alive context.Context) (told bool) {
	select {
	case <-p.ended:
		return false
	case <-ctx.Done():
	}
	p.signal(unix.SIGTERM)
	grace := time.NewTimer(killGrace)
	defer grace.Stop()
	select {
	case <-p.ended:
	case <-grace.C:
	case <-alive.Done():
	}
	p.signal(unix.SIGKILL)
	<-p.ended
	return true
}

// reap returns the exit code, 128+n for signal n.
func (p *process) reap() int {
	_ = p.cmd.Wait() // the state says more than the error
	status, known := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case !known:
		return notStarted
	case status.Signaled():
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// command is what reads the script: the interpreter that it names, else the
// shell.
func command(s Script, login Login, file string) *exec.Cmd {
	words := []string{login.Shell}
	if login.Shell == "" {
		words = []string{"/bin/sh"}
	}
	first, _, _ := strings.Cut(s.Text, "\n")
	if line, is := strings.CutPrefix(strings.TrimSpace(first), "#!"); is && strings.TrimSpace(line) != "" {
		words = strings.SplitN(strings.TrimSpace(line), " ", 2) // one argument at most, as the kernel does it
	}
	if file != "" {
		words = append(words, file)
	} else {
		words = append(words, "-c", s.Text)
	}
	return &exec.Cmd{Path: words[0], Args: words, Env: login.Env, Dir: login.Dir}
}

// writeText puts the text of a script where its interpreter finds it: in place
// of what a run left there that was killed.
func writeText(dir string, s Script, stage Stage) (file string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	name := filepath.Join(dir, ".script-"+string(stage))
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return "", err
	}
	_, err = io.WriteString(f, s.Text)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// run runs a script to its end, or to that of ctx.
func (r *Runner) run(ctx context.Context, s *scripted, stage Stage) Run {
	done := Run{Script: s.ID, Name: s.Name, Stage: stage, Start: time.Now(), ExitCode: notStarted, Status: ExitFailure}
	s.out.open()
	if s.Timeout > 0 {
		timed, cancel := context.WithTimeout(ctx, s.Timeout)
		defer cancel()
		ctx = timed
	}
	r.began(s, stage, done.Start)
	err := r.runProcess(ctx, s, &done)
	if err != nil {
		s.out.say(true, "%v", err)
	}
	done.End = time.Now()
	s.out.flush()
	r.ended(s, done)
	return done
}

// runProcess sets how the run ended. Output that is left open is followed by
// the runner until it ends.
func (r *Runner) runProcess(ctx context.Context, s *scripted, done *Run) error {
	login, err := r.login(ctx, s)
	if err != nil {
		return err
	}
	file, err := writeText(r.scriptDir(s.Script), s.Script, done.Stage)
	if err != nil {
		s.out.say(true, "its text is in no file: %v", err)
	}
	p, err := startProcess(s.Script, login, file, r.start)
	if err != nil {
		return errors.Join(err, removeFile(file))
	}
	output := r.follow(s, p)
	told := p.end(ctx, r.ctx)
	done.ExitCode = p.reap()
	switch {
	case told && errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		done.Status = TimedOut
		err = fmt.Errorf("it was ended after %v, its time", time.Since(done.Start).Round(time.Second/10))
	case done.ExitCode == 0:
		done.Status = OK
	}
	if !waits(output, pipesGrace) && done.Status == OK {
		done.Status = PipesLeftOpen
		s.out.say(false, "a process that it started goes on with its output")
	}
	return errors.Join(err, removeFile(file))
}

func removeFile(file string) error {
	if file == "" {
		return nil
	}
	return os.Remove(file)
}

// follow reads the output of p; the channel is closed at its end.
func (r *Runner) follow(s *scripted, p *process) (end <-chan struct{}) {
	done := make(chan struct{})
	r.mu.Lock()
	r.open++
	r.mu.Unlock()
	stop := context.AfterFunc(r.ctx, p.closePipes)
	r.running.Go(func() {
		defer close(done)
		var both sync.WaitGroup
		both.Go(func() { s.out.follow(p.out, false) })
		both.Go(func() { s.out.follow(p.errs, true) })
		both.Wait()
		s.out.flush()
		stop()
		p.closePipes()
		r.mu.Lock()
		r.open--
		r.mu.Unlock()
	})
	return done
}

// waits reports whether a channel was closed within d.
func waits(c <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c:
		return true
	case <-timer.C:
		return false
	}
}

// login is what a script runs with.
func (r *Runner) login(ctx context.Context, s *scripted) (Login, error) {
	login := Login{}
	if r.cfg.Login != nil {
		var err error
		if login, err = r.cfg.Login(ctx); err != nil {
			return login, err
		}
	}
	if login.Env == nil {
		login.Env = os.Environ()
	}
	login.Env = append(login.Env[:len(login.Env):len(login.Env)],
		"CODER_SCRIPT_DATA_DIR="+r.scriptDir(s.Script), "CODER_SCRIPT_BIN_DIR="+r.BinDir())
	return login, nil
}

// scriptDir is what a script may keep files in.
func (r *Runner) scriptDir(s Script) string {
	return filepath.Join(r.cfg.DataDir, "coder-script-data", s.Source.String())
}

// BinDir is where scripts put programs that logins should find.
func (r *Runner) BinDir() string { return BinDir(r.cfg.DataDir) }
