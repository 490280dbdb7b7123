package sftp

import (
	"errors"
	"io"
	"syscall"
)

// Status codes of the protocol.
const (
	statusOK               = 0
	statusEOF              = 1
	statusNoSuchFile       = 2
	statusPermissionDenied = 3
	statusFailure          = 4
	statusBadMessage       = 5
	statusUnsupported      = 8
)

// errUnsupported answers what this server does not know.
var errUnsupported = errors.New("operation unsupported")

// errUnsafe answers a file name that no system call can take.
var errUnsafe = errors.New("file name contains NUL")

// codes are the errors that have a code of their own, as OpenSSH assigns them;
// all others are a failure and tell by their text what went wrong.
var codes = []struct {
	err  error
	code uint32
}{
	{io.EOF, statusEOF},
	{syscall.ENOENT, statusNoSuchFile},
	{syscall.ENOTDIR, statusNoSuchFile},
	{syscall.EBADF, statusNoSuchFile},
	{syscall.ELOOP, statusNoSuchFile},
	{syscall.EPERM, statusPermissionDenied},
	{syscall.EACCES, statusPermissionDenied},
	{syscall.EFAULT, statusPermissionDenied},
	{syscall.ENAMETOOLONG, statusBadMessage},
	{syscall.EINVAL, statusBadMessage},
	{errMalformed, statusBadMessage},
	{errUnsafe, statusBadMessage},
	{syscall.ENOSYS, statusUnsupported},
	{errUnsupported, statusUnsupported},
}

func statusOf(err error) (code uint32, text string) {
	if err == nil {
		return statusOK, "Success"
	}
	code = statusFailure
	for _, c := range codes {
		if errors.Is(err, c.err) {
			code = c.code
			break
		}
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return code, errno.Error() // without the path, which the client has
	}
	return code, err.Error()
}
