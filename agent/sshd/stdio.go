//go:build linux

package sshd

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// stdio joins a process with a session: a PTY or three pipes. All of our ends
// are non-blocking, so that close unblocks whoever reads or writes them.
type stdio struct {
	child    [3]*os.File // handed to the process, closed by us after its start
	in       *os.File    // what the client types goes here
	out      *os.File    // what the process prints; with a PTY the same as in
	err      *os.File    // nil with a PTY
	terminal string      // name of the PTY; "" for pipes
}

// openPipes returns pipes, not sockets: programs reopen /dev/stdout, and bash
// takes a socket on stdin for rshd.
func openPipes() (*stdio, error) {
	s := &stdio{}
	var err error
	open := func(r, w **os.File) {
		if err == nil {
			*r, *w, err = os.Pipe()
		}
	}
	open(&s.child[0], &s.in)
	open(&s.out, &s.child[1])
	open(&s.err, &s.child[2])
	if err != nil {
		s.closeChild()
		s.close()
		return nil, fmt.Errorf("open pipes: %w", err)
	}
	return s, nil
}

// openPTY opens a terminal as the client describes it.
func openPTY(req *ptyRequest) (*stdio, error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	master := os.NewFile(uintptr(fd), "/dev/ptmx")
	slave, name, err := openSlave(fd, req)
	if err != nil {
		_ = master.Close()
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	return &stdio{
		child: [3]*os.File{slave, slave, slave}, in: master, out: master, terminal: name,
	}, nil
}

func openSlave(master int, req *ptyRequest) (*os.File, string, error) {
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		return nil, "", fmt.Errorf("name: %w", err)
	}
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return nil, "", fmt.Errorf("unlock: %w", err)
	}
	name := fmt.Sprintf("/dev/pts/%d", n)
	slave, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, "", err
	}
	if err := prepareTerminal(master, req); err != nil {
		_ = slave.Close()
		return nil, "", err
	}
	return slave, name, nil
}

func prepareTerminal(master int, req *ptyRequest) error {
	t, err := unix.IoctlGetTermios(master, unix.TCGETS)
	if err != nil {
		return fmt.Errorf("get modes: %w", err)
	}
	if err := applyModes(t, req.Modes); err != nil {
		return err
	}
	if err := unix.IoctlSetTermios(master, unix.TCSETS, t); err != nil {
		return fmt.Errorf("set modes: %w", err)
	}
	if err := unix.IoctlSetWinsize(master, unix.TIOCSWINSZ, req.window().winsize()); err != nil {
		return fmt.Errorf("set size: %w", err)
	}
	return nil
}

// resize sets the size of the terminal, which tells its foreground processes.
func (s *stdio) resize(w windowChange) error {
	raw, err := s.in.SyscallConn()
	if err != nil {
		return fmt.Errorf("resize terminal: %w", err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, w.winsize())
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("resize terminal: %w", err)
	}
	return nil
}

func (s *stdio) closeChild() {
	for _, f := range s.child {
		if f != nil {
			_ = f.Close()
		}
	}
}

// leave makes reads of a terminal return what is there now and then no more:
// its leader has ended, and others who have it open may never end.
func (s *stdio) leave() {
	if s.terminal != "" {
		_ = s.out.SetReadDeadline(time.Now())
	}
}

// close closes our ends: the process reads EOF and gets SIGPIPE, or, with a
// terminal, the kernel sends SIGHUP to its session. It may be called twice.
func (s *stdio) close() {
	for _, f := range []*os.File{s.in, s.out, s.err} {
		if f != nil {
			_ = f.Close()
		}
	}
}
