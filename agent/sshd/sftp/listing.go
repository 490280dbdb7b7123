//go:build linux

package sftp

import (
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// listing is a directory that is being read. It begins with "." and ".." as
// readdir(3) does.
type listing struct{ dots []string }

// batch is the number of entries in one answer: 100 entries with the longest
// names and both their forms fit into a packet.
const batch = 100

func (s *session) opendir(id uint32, r *reader) error {
	path, err := s.path(r)
	if err != nil || r.err != nil {
		return err
	}
	if s.full() {
		return unix.EMFILE
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return s.add(id, &handle{file: os.NewFile(uintptr(fd), path), list: &listing{dots: []string{".", ".."}}})
}

// readdir answers with some entries, or with EOF after the last.
func (s *session) readdir(id uint32, r *reader) error {
	h, err := s.lookup(r)
	if err != nil {
		return err
	}
	if h.list == nil {
		return unix.EBADF
	}
	s.answer.start(typeName, id)
	count := len(s.answer.b)
	s.answer.uint32(0)
	for n := 0; n == 0; s.answer.b[count+3] = byte(n) { // at most batch
		names, err := h.next()
		if err != nil {
			return err
		}
		n = s.appendEntries(int(h.file.Fd()), names)
	}
	return errAnswered
}

// next returns some names, or io.EOF after the last.
func (h *handle) next() ([]string, error) {
	if dots := h.list.dots; dots != nil {
		h.list.dots = nil
		return dots, nil
	}
	names, err := h.file.Readdirnames(batch)
	if len(names) == 0 && err == nil {
		err = io.EOF
	}
	if len(names) > 0 {
		err = nil // it comes again when these have been sent
	}
	return names, err
}

// appendEntries skips what has been removed since it was listed.
func (s *session) appendEntries(dir int, names []string) (n int) {
	for _, name := range names {
		var st unix.Stat_t
		if unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue
		}
		s.answer.string(name)
		s.answer.string(s.names.long(name, &st, time.Now()))
		s.answer.stat(&st)
		n++
	}
	return n
}

// names remembers the names of users and groups for a session.
type names struct{ users, groups map[uint32]string }

func (n *names) user(id uint32) string { return remember(&n.users, id, lookupUser) }

func (n *names) group(id uint32) string { return remember(&n.groups, id, lookupGroup) }

// remember returns the name of id, "" if it has none. It forgets all when a
// directory of a thousand owners would make it big.
func remember(seen *map[uint32]string, id uint32, lookup func(string) string) string {
	name, known := (*seen)[id]
	if known {
		return name
	}
	if *seen == nil || len(*seen) > 1000 {
		*seen = map[uint32]string{}
	}
	name = lookup(strconv.FormatUint(uint64(id), 10))
	(*seen)[id] = name
	return name
}

func lookupUser(id string) string {
	u, err := user.LookupId(id)
	if err != nil {
		return ""
	}
	return u.Username
}

func lookupGroup(id string) string {
	g, err := user.LookupGroupId(id)
	if err != nil {
		return ""
	}
	return g.Name
}

func homeDirectoryOf(name string) (string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return "", unix.ENOENT
	}
	return u.HomeDir, nil
}

// long is a line as "ls -l" prints it, in the columns of OpenSSH.
func (n *names) long(name string, st *unix.Stat_t, now time.Time) string {
	owner, group := n.user(st.Uid), n.group(st.Gid)
	if owner == "" {
		owner = strconv.FormatUint(uint64(st.Uid), 10)
	}
	if group == "" {
		group = strconv.FormatUint(uint64(st.Gid), 10)
	}
	return fmt.Sprintf("%s %3d %-8s %-8s %8d %s %s",
		modeText(st.Mode), st.Nlink, owner, group, st.Size, ageText(time.Unix(st.Mtim.Sec, 0), now), name)
}

// ageText shows the time of a file younger than half a year, else its year.
func ageText(t, now time.Time) string {
	const halfYear = 365 * 24 * time.Hour / 2
	if now.Sub(t) < halfYear {
		return t.Format("Jan _2 15:04")
	}
	return t.Format("Jan _2  2006")
}

// modeText shows type and permissions like ls; the space at the end is where
// ls marks access lists.
func modeText(mode uint32) string {
	b := []byte("?rwxrwxrwx ")
	for t, c := range map[uint32]byte{
		unix.S_IFREG: '-', unix.S_IFDIR: 'd', unix.S_IFLNK: 'l', unix.S_IFCHR: 'c',
		unix.S_IFBLK: 'b', unix.S_IFIFO: 'p', unix.S_IFSOCK: 's',
	} {
		if mode&unix.S_IFMT == t {
			b[0] = c
		}
	}
	for i := range 9 {
		if mode&(1<<(8-i)) == 0 {
			b[1+i] = '-'
		}
	}
	for _, special := range []struct {
		bit  uint32
		at   int
		char byte
	}{{unix.S_ISUID, 3, 's'}, {unix.S_ISGID, 6, 's'}, {unix.S_ISVTX, 9, 't'}} {
		if mode&special.bit != 0 {
			if b[special.at] == '-' {
				special.char -= 'a' - 'A'
			}
			b[special.at] = special.char
		}
	}
	return string(b)
}
