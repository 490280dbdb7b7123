//go:build linux

package home

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// node is a name in an open directory, and all that is below it.
type node struct {
	in   *dir
	name string
}

func (n node) stat() (entry, error) { return n.in.stat(n.name) }

// enter opens the directory n for do, which gets the names in it too.
func (n node) enter(do func(d *dir, names []string) error) error {
	d, err := n.in.sub(n.name)
	if err != nil {
		return err
	}
	defer d.close()
	names, err := d.names()
	if err != nil {
		return err
	}
	return do(d, names)
}

// copier copies trees, durably. The copy of something that changes meanwhile
// may be of no moment at all; whoever deletes the original compares first.
type copier struct {
	skip func(rel string) // told of what is no content; may be nil
}

// copy copies src to dst, where nothing is. rel is its path in the tree. The end
// of ctx ends it between two files.
func (c copier) copy(ctx context.Context, src, dst node, rel string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e, err := src.stat()
	if err != nil {
		return err
	}
	switch e.kind {
	case absent: // deleted just now
		if rel == "" {
			return errAgain
		}
		return nil
	case file:
		return c.file(src, dst)
	case directory:
		return c.directory(ctx, src, dst, e, rel)
	case link:
		return dst.in.symlink(e.target, dst.name)
	}
	if c.skip != nil {
		c.skip(rel)
	}
	return nil
}

func (c copier) file(src, dst node) error {
	in, err := src.openFile()
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	var out *os.File
	err = dst.in.change("create", dst.name, func() error {
		out, err = dst.in.open(dst.name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
		return err
	})
	if err != nil {
		return err
	}
	err = c.fill(out, in, st, dst)
	return errors.Join(err, out.Close())
}

// fill makes out a copy of in, on disk.
func (c copier) fill(out, in *os.File, st fs.FileInfo, dst node) error {
	err := dst.in.change("write", dst.name, func() error {
		_, err := out.ReadFrom(in)
		return err
	})
	if err != nil {
		return err
	}
	return dst.in.change("finish", dst.name, func() error {
		err := out.Chmod(st.Mode().Perm())
		if err == nil {
			err = setWritten(out, unix.NsecToTimespec(st.ModTime().UnixNano()))
		}
		return errors.Join(err, out.Sync())
	})
}

// setWritten sets the time of the content of an open file or directory.
func setWritten(f *os.File, at unix.Timespec) error {
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, at}
	return unix.UtimesNanoAt(int(f.Fd()), "", times, unix.AT_EMPTY_PATH)
}

// openFile opens a file to read. It does not wait for the other end of a pipe
// that took the file's place.
func (n node) openFile() (*os.File, error) {
	f, err := n.in.open(n.name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, errors.Join(errAgain, err, f.Close())
	}
	return f, nil
}

func (c copier) directory(ctx context.Context, src, dst node, e entry, rel string) error {
	to, err := dst.in.make(dst.name, 0o700)
	if err != nil {
		return err
	}
	defer to.close()
	err = src.enter(func(from *dir, names []string) error {
		for _, name := range names {
			if err := c.copy(ctx, node{from, name}, node{to, name}, path.Join(rel, name)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return to.change("finish", "", func() error {
		err := unix.Fchmod(to.fd(), e.mode)
		return errors.Join(err, setWritten(to.f, unix.NsecToTimespec(e.written.UnixNano())), unix.Fsync(to.fd()))
	})
}

// remove deletes a tree; that there is nothing is no error.
func (n node) remove() error {
	e, err := n.stat()
	switch {
	case err != nil || e.kind == absent:
		return err
	case e.kind != directory:
		return n.in.unlink(n.name)
	}
	err = n.enter(func(d *dir, names []string) error {
		err := d.allow(e)
		for _, name := range names {
			if err == nil {
				err = node{d, name}.remove()
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	return n.in.rmdir(n.name)
}

// allow lets the owner change what is in a directory.
func (d *dir) allow(e entry) error {
	if e.mode&0o700 == 0o700 {
		return nil
	}
	return d.change("chmod", "", func() error { return unix.Fchmod(d.fd(), e.mode|0o700) })
}

// moveNew moves n to a name, and fails with fs.ErrExist if that is taken. Where
// the system has no such rename, as on NFS, a file gets a second name instead,
// and a directory can take the place of an empty one only.
func (n node) moveNew(to node) error {
	err := n.in.rename(n.name, to.in, to.name, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	e, err := n.stat()
	if err != nil {
		return err
	}
	if e.kind == directory {
		return n.in.rename(n.name, to.in, to.name, 0)
	}
	if err := n.in.link(n.name, to.in, to.name); err != nil {
		return err
	}
	return n.in.unlink(n.name)
}

// move moves n to a name that is not taken. Below a directory of an image, which
// an overlay cannot rename, it moves one thing after the other; then it may
// leave a part of it where it was.
func (n node) move(to node) error {
	err := n.moveNew(to)
	if !errors.Is(err, unix.EXDEV) {
		return err
	}
	into, err := to.in.make(to.name, 0o700)
	if err != nil {
		return err
	}
	defer into.close()
	err = n.enter(func(from *dir, names []string) error {
		e, err := from.stat(".")
		if err == nil {
			err = from.allow(e)
		}
		for _, name := range names {
			if err == nil {
				err = node{from, name}.move(node{into, name})
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	return n.in.rmdir(n.name)
}

// size is the number of bytes of content.
func (n node) size() (int64, error) {
	var total int64
	err := n.walk("", func(_ string, _ node, e entry) error {
		if e.kind == file {
			total += e.size
		}
		return nil
	})
	return total, err
}

// walk calls visit for n and all that is below it.
func (n node) walk(rel string, visit func(rel string, at node, e entry) error) error {
	e, err := n.stat()
	if err == nil {
		err = visit(rel, n, e)
	}
	if err != nil || e.kind != directory {
		return err
	}
	return n.enter(func(d *dir, names []string) error {
		for _, name := range names {
			if err := (node{d, name}).walk(path.Join(rel, name), visit); err != nil {
				return err
			}
		}
		return nil
	})
}
