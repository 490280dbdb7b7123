//go:build linux

package sftp

import (
	"golang.org/x/sys/unix"
)

// extension is one request beyond the draft; OpenSSH's PROTOCOL describes it
// under its name.
type extension struct {
	name, version string
	serve         func(s *session, id uint32, r *reader) error
}

// extensions are told to clients in this order.
var extensions = []extension{
	{"posix-rename@openssh.com", "1", func(s *session, _ uint32, r *reader) error { return s.onPaths(r, unix.Rename) }},
	{"statvfs@openssh.com", "2", (*session).statvfs},
	{"fstatvfs@openssh.com", "2", (*session).fstatvfs},
	{"hardlink@openssh.com", "1", func(s *session, _ uint32, r *reader) error { return s.onPaths(r, unix.Link) }},
	{"fsync@openssh.com", "1", (*session).fsync},
	{"lsetstat@openssh.com", "1", func(s *session, _ uint32, r *reader) error { return s.setstat(r, noFollow) }},
	{"limits@openssh.com", "1", (*session).limits},
	{"expand-path@openssh.com", "1", (*session).expandPath},
	{"copy-data", "1", (*session).copyData},
	{"home-directory", "1", (*session).homeDirectory},
	{"users-groups-by-id@openssh.com", "1", (*session).usersAndGroups},
}

func (s *session) extended(id uint32, r *reader) error {
	name := r.string()
	for _, e := range extensions {
		if e.name == name {
			return e.serve(s, id, r)
		}
	}
	return errUnsupported
}

func (s *session) limits(id uint32, _ *reader) error {
	s.answer.start(typeExtendedReply, id)
	for _, v := range []uint64{maxPacket, maxData, maxData, uint64(s.cfg.Handles)} {
		s.answer.uint64(v)
	}
	return errAnswered
}

func (s *session) statvfs(id uint32, r *reader) error {
	path, err := s.path(r)
	if err != nil || r.err != nil {
		return err
	}
	var st unix.Statfs_t
	err = unix.Statfs(path, &st)
	return s.answerStatvfs(id, &st, err)
}

func (s *session) fstatvfs(id uint32, r *reader) error {
	h, err := s.lookup(r)
	if err != nil {
		return err
	}
	var st unix.Statfs_t
	err = unix.Fstatfs(int(h.file.Fd()), &st)
	return s.answerStatvfs(id, &st, err)
}

func (s *session) answerStatvfs(id uint32, st *unix.Statfs_t, err error) error {
	if err != nil {
		return err
	}
	var flags uint64 // 1 read-only, 2 no setuid
	if st.Flags&unix.ST_RDONLY != 0 {
		flags |= 1
	}
	if st.Flags&unix.ST_NOSUID != 0 {
		flags |= 2
	}
	s.answer.start(typeExtendedReply, id)
	for _, v := range []uint64{
		uint64(st.Bsize), uint64(st.Frsize), st.Blocks, st.Bfree, st.Bavail, st.Files, st.Ffree, st.Ffree,
		uint64(uint32(st.Fsid.Val[0])) | uint64(uint32(st.Fsid.Val[1]))<<32, flags, uint64(st.Namelen),
	} {
		s.answer.uint64(v)
	}
	return errAnswered
}

// usersAndGroups answers a list of user ids and one of group ids with the
// names, "" for those that have none.
func (s *session) usersAndGroups(id uint32, r *reader) error {
	users, groups := reader{b: r.bytes()}, reader{b: r.bytes()}
	if r.err != nil {
		return nil
	}
	s.answer.start(typeExtendedReply, id)
	for _, list := range []struct {
		ids  *reader
		name func(uint32) string
	}{{&users, s.names.user}, {&groups, s.names.group}} {
		var out builder
		for len(list.ids.b) > 0 {
			out.string(list.name(list.ids.uint32()))
			if list.ids.err != nil || len(out.b) > maxPacket/4 {
				return errMalformed
			}
		}
		s.answer.string(string(out.b))
	}
	return errAnswered
}
