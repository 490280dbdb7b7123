//go:build linux

package sftp

import (
	"errors"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// handle is an open file or directory.
type handle struct {
	file *os.File
	end  bool // every write goes to the end of the file
	list *listing
}

// lookup reads a handle; one that is not open is an error of its request.
func (s *session) lookup(r *reader) (*handle, error) {
	h, ok := s.handles[string(r.bytes())]
	if !ok {
		return nil, unix.EBADF
	}
	return h, nil
}

// add answers with the name of a new handle.
func (s *session) add(id uint32, h *handle) error {
	name := strconv.FormatUint(s.opened, 10)
	s.opened++
	s.handles[name] = h
	s.answer.start(typeHandle, id)
	s.answer.string(name)
	return errAnswered
}

func (s *session) full() bool { return len(s.handles) >= s.cfg.Handles }

func (s *session) closeAll() {
	for _, h := range s.handles {
		_ = h.file.Close()
	}
}

func (s *session) close(r *reader) error {
	name := string(r.bytes())
	h, ok := s.handles[name]
	if !ok {
		return unix.EBADF
	}
	delete(s.handles, name)
	return h.file.Close()
}

// openFlags translates the flags of an open request.
func openFlags(wire uint32) int {
	flags := 0
	switch wire & 3 {
	case 1:
		flags = os.O_RDONLY
	case 2:
		flags = os.O_WRONLY
	case 3:
		flags = os.O_RDWR
	}
	for bit, flag := range map[uint32]int{
		4: os.O_APPEND, 8: os.O_CREATE, 16: os.O_TRUNC, 32: os.O_EXCL,
	} {
		if wire&bit != 0 {
			flags |= flag
		}
	}
	return flags
}

// open does not block on a pipe that has no other end.
func (s *session) open(id uint32, r *reader) error {
	path, err := s.path(r)
	flags := openFlags(r.uint32())
	a := r.attrs()
	if err != nil || r.err != nil {
		return err
	}
	if s.full() {
		return unix.EMFILE
	}
	fd, err := unix.Open(path, flags|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, a.modeOr(0o666))
	if err != nil {
		return err
	}
	h := &handle{file: os.NewFile(uintptr(fd), path)}
	h.end = flags&os.O_APPEND != 0 && h.regular()
	return s.add(id, h)
}

// regular reports whether h is a file that can always be read and written at
// an offset. All else is left to fail, for it could block for ever.
func (h *handle) regular() bool {
	st, err := h.file.Stat()
	return err == nil && st.Mode().IsRegular()
}

func (s *session) read(id uint32, r *reader) error {
	h, err := s.lookup(r)
	off, size := r.uint64(), r.uint32()
	if err != nil || r.err != nil {
		return err
	}
	const head = 4 + 1 + 4 + 4 // length, type, id, length of the data
	size = min(size, maxData)
	s.answer.start(typeData, id)
	if need := head + int(size); cap(s.answer.b) < need {
		s.answer.b = append(make([]byte, 0, need), s.answer.b...)
	}
	n, err := h.file.ReadAt(s.answer.b[head:head+size], int64(off))
	if n == 0 && err != nil {
		return err
	}
	s.answer.uint32(uint32(n))
	s.answer.b = s.answer.b[:head+n]
	return errAnswered
}

func (s *session) write(r *reader) error {
	h, err := s.lookup(r)
	off, data := r.uint64(), r.bytes()
	if err != nil || r.err != nil {
		return err
	}
	if h.end {
		_, err = h.file.Write(data)
	} else {
		_, err = h.file.WriteAt(data, int64(off))
	}
	return err
}

func (s *session) mkdir(r *reader) error {
	path, err := s.path(r)
	a := r.attrs()
	if err != nil || r.err != nil {
		return err
	}
	return unix.Mkdir(path, a.modeOr(0o777))
}

// renameNew moves a file to a name that must be free, which is what the
// protocol asks for; posix-rename@openssh.com replaces what is there.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	// This file system cannot do it in one step.
	if _, err := os.Lstat(to); err == nil {
		return unix.EEXIST
	}
	return unix.Rename(from, to)
}

// copyData copies size bytes, or all that there are now if size is 0.
func (s *session) copyData(_ uint32, r *reader) error {
	from, err := s.lookup(r)
	off, size := int64(r.uint64()), int64(r.uint64())
	to, err2 := s.lookup(r)
	toOff := int64(r.uint64())
	if err = errors.Join(err, err2); err != nil || r.err != nil {
		return err
	}
	if from == to || !from.regular() || off < 0 || size < 0 || toOff < 0 {
		return unix.EINVAL
	}
	st, err := from.file.Stat()
	if err != nil {
		return err
	}
	left := max(0, st.Size()-off)
	if size == 0 {
		size = left
	}
	_, err = io.Copy(io.NewOffsetWriter(to.file, toOff), io.NewSectionReader(from.file, off, min(size, left)))
	if err == nil && size > left {
		return io.EOF
	}
	return err
}

func (s *session) fsync(_ uint32, r *reader) error {
	h, err := s.lookup(r)
	if err != nil {
		return err
	}
	return h.file.Sync()
}
