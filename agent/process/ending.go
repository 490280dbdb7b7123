//go:build linux

package process

import (
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// exited is the code of a siginfo of a child that ended by itself (CLD_EXITED).
const exited = 1

// childInfo is a siginfo_t as waitid(2) fills it on 64-bit machines; x/sys does not
// name what is in it.
type childInfo struct {
	_      [2]int32 // signal, errno
	code   int32
	_      [3]int32 // padding, process id, user id
	status int32
	_      [100]byte
}

// ending waits for the end of a child, which it does not reap, and returns the exit
// code, 128+n for signal n, and what shells say of that signal.
func ending(pid int) (code int, signal string) {
	var info childInfo
	for errors.Is(unix.Waitid(unix.P_PID, pid, (*unix.Siginfo)(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
	if info.code == exited {
		return int(info.status), ""
	}
	return 128 + int(info.status), syscall.Signal(info.status).String()
}
