//go:build linux

package home

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// dir is an open directory, in which things are found and changed by their
// names. A name has no slash, and a link of that name is not followed.
type dir struct {
	f    *os.File
	step func(op string) // called before each change, so that tests can kill it there; may be nil
}

// openRoot opens a directory by its path, over links too.
func openRoot(name string, step func(op string)) (*dir, error) {
	f, err := os.OpenFile(name, unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &dir{f: f, step: step}, nil
}

func (d *dir) close() { _ = d.f.Close() } // nothing was written through it

func (d *dir) fd() int { return int(d.f.Fd()) }

func (d *dir) path(name string) string { return filepath.Join(d.f.Name(), name) }

// do makes a system call that concerns a name, again if a signal came.
func (d *dir) do(op, name string, call func() error) error {
	for {
		err := call()
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EINTR):
			return &fs.PathError{Op: op, Path: d.path(name), Err: err}
		}
	}
}

// change is do for what changes something.
func (d *dir) change(op, name string, call func() error) error {
	if d.step != nil {
		d.step(op)
	}
	return d.do(op, name, call)
}

func (d *dir) open(name string, flags int, mode uint32) (*os.File, error) {
	fd := -1
	err := d.do("open", name, func() (err error) {
		fd, err = unix.Openat(d.fd(), name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), d.path(name)), nil
}

// sub opens a directory in d; the caller closes it.
func (d *dir) sub(name string) (*dir, error) {
	f, err := d.open(name, unix.O_DIRECTORY, 0)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
		return nil, fmt.Errorf("%s is a link, or no directory", d.path(name))
	}
	if err != nil {
		return nil, err
	}
	return &dir{f: f, step: d.step}, nil
}

// walk opens the directory at a relative path; the caller closes it. The error
// is fs.ErrNotExist if it, or one above it, is missing.
func (d *dir) walk(rel string) (*dir, error) {
	at, err := d.sub(".")
	for part := range strings.SplitSeq(path.Clean(rel), "/") {
		if err != nil {
			return nil, err
		}
		above := at
		at, err = above.sub(part)
		above.close()
	}
	return at, err
}

// walkMaking is walk that makes what is missing, each directory with the mode
// that the one of the same path in like has. nil is for our own.
func (d *dir) walkMaking(rel string, like *dir) (*dir, error) {
	at, err := d.sub(".")
	parts := strings.Split(path.Clean(rel), "/")
	for i, part := range parts {
		if err != nil {
			return nil, err
		}
		above := at
		at, err = above.sub(part)
		if errors.Is(err, fs.ErrNotExist) {
			at, err = above.make(part, like.modeOf(strings.Join(parts[:i+1], "/")))
		}
		above.close()
	}
	return at, err
}

// modeOf is the mode of a directory, or that of new ones if there is none. In a
// copy of it things can be made.
func (d *dir) modeOf(rel string) uint32 {
	if d == nil {
		return 0o700
	}
	sub, err := d.walk(rel)
	if err != nil {
		return 0o755
	}
	defer sub.close()
	e, err := sub.stat(".")
	if err != nil {
		return 0o755
	}
	return e.mode | 0o700
}

// make makes a directory, durably, and opens it. One that is there is fine.
func (d *dir) make(name string, mode uint32) (*dir, error) {
	err := d.mkdir(name, mode)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return d.sub(name)
}

// mkdir makes a directory, durably, whose mode no umask changes.
func (d *dir) mkdir(name string, mode uint32) error {
	err := d.change("mkdir", name, func() error { return unix.Mkdirat(d.fd(), name, 0o700) })
	if err == nil && mode != 0o700 {
		err = d.chmod(name, mode)
	}
	return errors.Join(err, d.sync())
}

// chmod changes the mode of a directory.
func (d *dir) chmod(name string, mode uint32) error {
	sub, err := d.sub(name)
	if err != nil {
		return err
	}
	defer sub.close()
	return d.change("chmod", name, func() error { return unix.Fchmod(sub.fd(), mode) })
}

// sync writes to disk which names there are.
func (d *dir) sync() error { return d.do("sync", "", func() error { return unix.Fsync(d.fd()) }) }

func (d *dir) symlink(target, name string) error {
	return d.change("symlink", name, func() error { return unix.Symlinkat(target, d.fd(), name) })
}

// rename moves a name to another directory; flags are those of renameat2.
func (d *dir) rename(name string, to *dir, as string, flags uint) error {
	return d.change("rename to "+to.path(as)+" of", name, func() error {
		return unix.Renameat2(d.fd(), name, to.fd(), as, flags)
	})
}

// link gives a file a second name.
func (d *dir) link(name string, to *dir, as string) error {
	return d.change("link to "+to.path(as)+" of", name, func() error {
		return unix.Linkat(d.fd(), name, to.fd(), as, 0)
	})
}

func (d *dir) unlink(name string) error {
	return d.change("delete", name, func() error { return unix.Unlinkat(d.fd(), name, 0) })
}

func (d *dir) rmdir(name string) error {
	return d.change("delete", name, func() error { return unix.Unlinkat(d.fd(), name, unix.AT_REMOVEDIR) })
}

// entry is what a name stands for.
type entry struct {
	kind    kind
	target  string // of a link
	mode    uint32 // permissions
	size    int64
	uid     uint32
	device  uint64
	inode   uint64
	written time.Time // content, which programs may set
	changed time.Time // anything, the name of a file too; nobody can set it
}

// lastWritten is when the content last changed: what programs say, unless they
// say that it was after the last change of anything. (The latter alone is not
// it: a second name in the backups is such a change.)
func (e entry) lastWritten() time.Time {
	if e.written.After(e.changed) {
		return e.changed
	}
	return e.written
}

// stat looks a name up; that there is nothing is no error.
func (d *dir) stat(name string) (entry, error) {
	var st unix.Stat_t
	err := d.do("look up", name, func() error { return unix.Fstatat(d.fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	if errors.Is(err, fs.ErrNotExist) {
		return entry{}, nil
	}
	if err != nil {
		return entry{}, err
	}
	e := entry{
		kind: special, mode: st.Mode & 0o1777, size: st.Size, uid: st.Uid, device: st.Dev, inode: st.Ino,
		written: time.Unix(st.Mtim.Unix()), changed: time.Unix(st.Ctim.Unix()),
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		e.kind = file
	case unix.S_IFDIR:
		e.kind = directory
	case unix.S_IFLNK:
		e.kind = link
		e.target, err = d.readlink(name)
	}
	return e, err
}

func (d *dir) readlink(name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n := 0
	err := d.do("read link", name, func() (err error) {
		n, err = unix.Readlinkat(d.fd(), name, buf)
		return err
	})
	return string(buf[:max(n, 0)]), err
}

// names are those in the directory, sorted.
func (d *dir) names() ([]string, error) {
	if _, err := d.f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	names, err := d.f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// writeFile writes a small file, durably, in one step. Only who has a lock may,
// and deletes what one who was killed left.
func (d *dir) writeFile(name string, data []byte) error {
	names, err := d.names()
	for _, left := range names {
		if isAside(left, name) {
			err = errors.Join(err, d.unlink(left))
		}
	}
	if err != nil {
		return err
	}
	tmp := aside(name)
	f, err := d.open(tmp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = d.rename(tmp, d, name, 0)
	}
	if err != nil {
		return errors.Join(err, d.unlink(tmp))
	}
	return d.sync()
}

func (d *dir) readFile(name string) ([]byte, error) {
	f, err := d.open(name, unix.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// aside is a new name for what is put aside beside name; asideOf knows it.
func aside(name string) string { return asidePrefix + randomName() + "." + name }

// isAside reports whether a name was put aside beside name.
func isAside(candidate, name string) bool {
	rest, is := strings.CutPrefix(candidate, asidePrefix)
	return is && len(rest) == 8+1+len(name) && strings.HasSuffix(rest, "."+name)
}
