//go:build linux

package sftp

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Flags that say which attributes follow.
const (
	attrSize     = 1
	attrOwner    = 2
	attrMode     = 4
	attrTimes    = 8
	attrExtended = 1 << 31
)

// attrs are the attributes of a file on the wire: flags and, for each flag,
// size (uint64); uid, gid; mode; access and modification time in seconds
// (uint32 each); pairs of strings, which are skipped.
type attrs struct {
	flags        uint32
	size         uint64
	uid, gid     uint32
	mode         uint32
	atime, mtime uint32
}

func (r *reader) attrs() attrs {
	a := attrs{flags: r.uint32()}
	if a.flags&attrSize != 0 {
		a.size = r.uint64()
	}
	if a.flags&attrOwner != 0 {
		a.uid, a.gid = r.uint32(), r.uint32()
	}
	if a.flags&attrMode != 0 {
		a.mode = r.uint32()
	}
	if a.flags&attrTimes != 0 {
		a.atime, a.mtime = r.uint32(), r.uint32()
	}
	if a.flags&attrExtended != 0 {
		for n := r.uint32(); n > 0 && r.err == nil; n-- {
			r.bytes()
			r.bytes()
		}
	}
	return a
}

// modeOr returns the permissions that a new file or directory gets, from which
// the system takes the umask.
func (a attrs) modeOr(def uint32) uint32 {
	if a.flags&attrMode != 0 {
		return a.mode & 0o7777
	}
	return def
}

// stat appends the attributes of a file.
func (w *builder) stat(st *unix.Stat_t) {
	w.uint32(attrSize | attrOwner | attrMode | attrTimes)
	w.uint64(uint64(st.Size))
	w.uint32(st.Uid)
	w.uint32(st.Gid)
	w.uint32(st.Mode)
	w.uint32(uint32(st.Atim.Sec))
	w.uint32(uint32(st.Mtim.Sec))
}

func (s *session) stat(id uint32, r *reader, follow bool) error {
	path, err := s.path(r)
	if err != nil || r.err != nil {
		return err
	}
	var st unix.Stat_t
	if follow {
		err = unix.Stat(path, &st)
	} else {
		err = unix.Lstat(path, &st)
	}
	return s.answerStat(id, &st, err)
}

func (s *session) fstat(id uint32, r *reader) error {
	h, err := s.lookup(r)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	err = unix.Fstat(int(h.file.Fd()), &st)
	return s.answerStat(id, &st, err)
}

func (s *session) answerStat(id uint32, st *unix.Stat_t, err error) error {
	if err != nil {
		return err
	}
	s.answer.start(typeAttrs, id)
	s.answer.stat(st)
	return errAnswered
}

// changer changes the attributes of one file.
type changer struct {
	truncate func(size int64) error
	chmod    func(mode uint32) error
	times    func(t []unix.Timespec) error
	chown    func(uid, gid int) error
}

// apply makes every change that a asks for, also when one of them fails.
func (a attrs) apply(to changer) error {
	var errs []error
	if a.flags&attrSize != 0 {
		errs = append(errs, to.truncate(int64(a.size)))
	}
	if a.flags&attrMode != 0 {
		errs = append(errs, to.chmod(a.mode&0o7777))
	}
	if a.flags&attrTimes != 0 {
		errs = append(errs, to.times([]unix.Timespec{{Sec: int64(a.atime)}, {Sec: int64(a.mtime)}}))
	}
	if a.flags&attrOwner != 0 {
		errs = append(errs, to.chown(int(a.uid), int(a.gid)))
	}
	return errors.Join(errs...)
}

// follow and noFollow say what happens to symbolic links.
const (
	follow   = 0
	noFollow = unix.AT_SYMLINK_NOFOLLOW
)

func (s *session) setstat(r *reader, flags int) error {
	path, err := s.path(r)
	a := r.attrs()
	if err != nil || r.err != nil {
		return err
	}
	to := changer{
		truncate: func(size int64) error { return unix.Truncate(path, size) },
		chmod:    func(mode uint32) error { return unix.Fchmodat(unix.AT_FDCWD, path, mode, flags) },
		times:    func(t []unix.Timespec) error { return unix.UtimesNanoAt(unix.AT_FDCWD, path, t, flags) },
		chown:    func(uid, gid int) error { return unix.Fchownat(unix.AT_FDCWD, path, uid, gid, flags) },
	}
	if flags == noFollow { // a link has no size of its own to set
		to.truncate = func(int64) error { return unix.EINVAL }
	}
	return a.apply(to)
}

func (s *session) fsetstat(r *reader) error {
	h, err := s.lookup(r)
	a := r.attrs()
	if err != nil || r.err != nil {
		return err
	}
	fd := int(h.file.Fd())
	return a.apply(changer{
		truncate: func(size int64) error { return unix.Ftruncate(fd, size) },
		chmod:    func(mode uint32) error { return unix.Fchmod(fd, mode) },
		times: func(t []unix.Timespec) error {
			return unix.Futimes(fd, []unix.Timeval{{Sec: t[0].Sec}, {Sec: t[1].Sec}})
		},
		chown: func(uid, gid int) error { return unix.Fchown(fd, uid, gid) },
	})
}
