//go:build linux

package sshd

import (
	"bytes"
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// copySize is what one read of a process's output may bring: what fits into
// one SSH packet of every client (RFC 4253 §6.1).
const copySize = 32 << 10

// copyOut sends first and then what src gives to the client, until src ends or
// the client is gone. It closes src, so that a process which still prints gets
// SIGPIPE. The end of a terminal is the error EIO, or a deadline when its
// leader has ended.
func copyOut(client io.Writer, src *os.File, first []byte) {
	defer src.Close()
	if _, err := client.Write(first); err != nil {
		return
	}
	buf := make([]byte, copySize)
	for {
		n, err := src.Read(buf)
		if _, werr := client.Write(buf[:n]); werr != nil {
			return
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			copyRest(client, src, buf)
		}
		if err != nil {
			return
		}
	}
}

// terminalHolds is more than the kernel keeps of what was printed on a
// terminal. Whoever still prints must not keep the session.
const terminalHolds = 256 << 10

// copyRest sends what a terminal holds, without waiting for more.
func copyRest(client io.Writer, terminal *os.File, buf []byte) {
	_ = terminal.SetReadDeadline(time.Time{})
	for sent := 0; sent < terminalHolds; {
		n := readNow(terminal, buf)
		if n <= 0 {
			return
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
		sent += n
	}
}

// readNow reads what is there; it returns 0 or less if that is nothing.
func readNow(f *os.File, buf []byte) (n int) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	err = raw.Read(func(fd uintptr) bool {
		n, err = unix.Read(int(fd), buf)
		for errors.Is(err, unix.EINTR) {
			n, err = unix.Read(int(fd), buf)
		}
		return true // whatever came of it: do not wait
	})
	if err != nil {
		return 0
	}
	return n
}

// copyIn passes the client's input on. At its end pipes are closed, but not a
// terminal, where the end of input is a character. A program that closed its
// stdin makes the client stop, and what is still under way is dropped.
func (s *session) copyIn(to *stdio) {
	defer close(s.stdin)
	buf := make([]byte, copySize)
	for {
		n, err := s.ch.Read(buf)
		if n > 0 {
			s.conn.srv.counters.came(s.kind, n)
			if _, werr := to.in.Write(buf[:n]); werr != nil {
				s.refuseInput(to)
				return
			}
		}
		if err != nil {
			break
		}
	}
	if to.terminal == "" {
		_ = to.in.Close()
	}
}

func (s *session) refuseInput(to *stdio) {
	if to.terminal == "" {
		_ = to.in.Close()
		if bytes.HasPrefix(s.conn.ssh.ClientVersion(), []byte("SSH-2.0-OpenSSH")) {
			_, _ = s.ch.SendRequest("eow@openssh.com", false, nil)
		}
	}
	_, _ = io.Copy(io.Discard, s.ch)
}
