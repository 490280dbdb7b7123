//go:build linux

package pty

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/berthdev/berth/agent/pty/screen"
)

// terminal is one program, its screen and who looks at it.
//
//	new → running → ended → forgotten
//
// It is forgotten when it has ended and a viewer has seen the end, when it was
// killed, or when nobody has looked for Config.Keep.
type terminal struct {
	owner   *Terminals
	id      uuid.UUID
	command string
	created time.Time

	input chan []byte   // pieces to write to the program; what is full holds up its writers
	ended chan struct{} // closed when the program has ended

	killOnce sync.Once
	killed   chan struct{}

	starting sync.Mutex // held while the program is started; guards startErr
	startErr error

	mu       sync.Mutex // guards below
	proc     *process   // nil before the start
	screen   *screen.Screen
	viewers  []*viewer // by last activity; the last one is the active one
	printed  int64     // bytes the program has printed
	done     bool      // ended, and all its output is on the screen
	seen     bool      // a viewer has seen the end
	exitCode int
	keep     stopper // runs while nobody looks
}

// inputPiece and inputPieces bound what waits for a program that does not read:
// 64 KiB, beyond which those who type wait.
const inputPiece, inputPieces = 4 << 10, 16

func newTerminal(owner *Terminals, init Init) *terminal {
	width, height := sizeOf(init)
	return &terminal{
		owner: owner, id: init.ID, command: init.Command, created: time.Now(),
		input: make(chan []byte, inputPieces), ended: make(chan struct{}), killed: make(chan struct{}),
		screen: screen.New(width, height),
	}
}

func sizeOf(init Init) (width, height int) {
	if init.Width == 0 || init.Height == 0 {
		return 80, 24
	}
	return screen.Clamp(int(init.Width), int(init.Height))
}

// start starts the program unless that has been done.
func (t *terminal) start(ctx context.Context) error {
	t.starting.Lock()
	defer t.starting.Unlock()
	if t.proc == nil && t.startErr == nil {
		t.startErr = t.startNow(ctx)
	}
	return t.startErr
}

func (t *terminal) startNow(ctx context.Context) error {
	var login Login
	if t.owner.cfg.Login != nil {
		var err error
		if login, err = t.owner.cfg.Login(ctx); err != nil {
			return err
		}
	}
	if !t.owner.begin() {
		return errClosing
	}
	width, height := t.screen.Size()
	proc, err := startProcess(login, t.command, winsize(width, height), t.owner.cfg.Start)
	if err != nil {
		t.owner.running.Done()
		return err
	}
	t.mu.Lock()
	t.proc = proc
	t.mu.Unlock()
	t.owner.counters.started.Add(1)
	t.owner.log.InfoContext(ctx, "terminal started", "terminal", t.id, "pid", proc.cmd.Process.Pid)
	go t.run(proc)
	return nil
}

// run passes bytes between the program and the viewers until it has ended.
func (t *terminal) run(proc *process) {
	defer t.owner.running.Done()
	var output, others sync.WaitGroup
	output.Go(func() { t.readOutput(proc) })
	others.Go(func() { t.writeInput(proc) })
	others.Go(func() { t.enforceKill(proc) })

	code := proc.wait()
	close(t.ended)
	_ = proc.slave.Close()
	_ = proc.master.SetWriteDeadline(time.Now())
	_ = proc.master.SetReadDeadline(time.Now().Add(drainTime))
	output.Wait()
	others.Wait()
	proc.close()
	t.finish(code)
}

// drainTime is how long after the end of a program its last output is waited
// for, when a process it left behind keeps the PTY open. The kernel hands over
// what was written before the end in microseconds.
const drainTime = 100 * time.Millisecond

// finish notes that the program has ended and all its output is on the screen.
func (t *terminal) finish(code int) {
	t.mu.Lock()
	t.done, t.exitCode = true, code
	for _, v := range t.viewers {
		v.wakeUp()
	}
	forget := t.settleLocked()
	t.mu.Unlock()
	t.hurry()
	t.owner.log.Info("terminal ended", "terminal", t.id, "exit_code", code)
	if forget {
		t.owner.forget(t)
	}
}

// readOutput shows what the program prints, as fast as it prints.
func (t *terminal) readOutput(proc *process) {
	buf := make([]byte, 32<<10)
	for {
		n, err := proc.master.Read(buf)
		if n > 0 {
			t.show(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

// show puts output on the screen and into the queues of the viewers.
func (t *terminal) show(output []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.printed += int64(len(output))
	for _, span := range t.screen.Feed(output) {
		answerer := t.answererLocked()
		switch {
		case !span.Query:
			for _, v := range t.viewers {
				t.pushLocked(v, span.Data)
			}
		case answerer != nil:
			t.pushLocked(answerer, span.Data)
		default:
			t.answer(span.Reply)
		}
	}
}

// answererLocked returns the viewer whose terminal is to hear a question: the
// active one, unless it is away or so far behind that the program would wait.
func (t *terminal) answererLocked() *viewer {
	if n := len(t.viewers); n > 0 && !t.viewers[n-1].behind() {
		return t.viewers[n-1]
	}
	return nil
}

// answer gives the program the screen's own answer, unless it does not read.
func (t *terminal) answer(reply []byte) {
	if len(reply) == 0 {
		return
	}
	select {
	case t.input <- reply:
		t.owner.counters.answered.Add(1)
	default:
		t.owner.counters.inputDropped.Add(1)
	}
}

// typed hands what a viewer typed to the program; it waits while that has
// enough to read, as long as both are there.
func (t *terminal) typed(data []byte, left <-chan struct{}) {
	if len(data) > 0 {
		t.owner.counters.typed.Add(1)
	}
	for len(data) > 0 {
		n := min(len(data), inputPiece)
		select {
		case t.input <- data[:n:n]:
			data = data[n:]
		case <-t.ended:
			return
		case <-left:
			return
		}
	}
}

// writeInput writes what was typed until the program has ended.
func (t *terminal) writeInput(proc *process) {
	for {
		select {
		case data := <-t.input:
			_, _ = proc.master.Write(data) // fails only when the program ends
		case <-t.ended:
			return
		}
	}
}

// kill asks the program to end, and sees to it that it does. It does not wait.
func (t *terminal) kill() { t.killOnce.Do(func() { close(t.killed) }) }

func (t *terminal) enforceKill(proc *process) {
	select {
	case <-t.ended:
		return
	case <-t.killed:
	}
	t.hurry()
	proc.signal(unix.SIGHUP)
	proc.signal(unix.SIGCONT) // one that is stopped would not notice
	grace := time.NewTimer(killGrace)
	defer grace.Stop()
	select {
	case <-t.ended:
	case <-grace.C:
		proc.signal(unix.SIGKILL)
	}
}

func (t *terminal) wasKilled() bool {
	select {
	case <-t.killed:
		return true
	default:
		return false
	}
}

func (t *terminal) info() Info {
	t.mu.Lock()
	defer t.mu.Unlock()
	width, height := t.screen.Size()
	info := Info{
		ID: t.id, Command: t.command, Title: t.screen.Title(), Width: width, Height: height,
		Created: t.created, Viewers: len(t.viewers), Printed: t.printed, Ended: t.done, ExitCode: t.exitCode,
	}
	if t.proc != nil {
		info.PID = t.proc.cmd.Process.Pid
	}
	return info
}
