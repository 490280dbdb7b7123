package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// MaxWrite is how many bytes a file may have that Write makes: whoever has more has
// scp and rsync.
const MaxWrite = 64 << 20

// Write makes the file at an absolute path hold what r has, of which there may be
// MaxWrite bytes; r may end with an error of its own, which is returned. With
// parents the directories above it are made, else they have to be there. It returns
// the number of bytes.
func Write(path string, r io.Reader, parents bool) (int64, error) {
	if parents {
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil { // the umask has its say
			return 0, err
		}
	}
	p, err := findPlace(path)
	if err != nil {
		return 0, err
	}
	s, size, err := p.stage(r)
	if err != nil {
		return 0, err
	}
	return size, s.take()
}

// place is where a file is, or will be.
type place struct {
	path string      // without symbolic links at its end
	was  os.FileInfo // nil when there is no file
}

// findPlace follows symbolic links, and refuses what may not be written.
func findPlace(path string) (place, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(path); err == nil {
			return place{}, &fs.PathError{Op: "follow", Path: path, Err: syscall.ENOENT} // it leads nowhere
		}
		return place{path: path}, nil
	}
	if err != nil {
		return place{}, err
	}
	if !st.Mode().IsRegular() {
		return place{}, invalidf("%s is no regular file", path)
	}
	if err := unix.Access(path, unix.W_OK); err != nil {
		return place{}, &fs.PathError{Op: "write", Path: path, Err: err} // a rename would not ask
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return place{}, err
	}
	return place{path, st}, nil
}

// staged is new content beside the place that it is for.
type staged struct {
	place
	temp string
}

// stage writes content to the disk, but not to its place.
func (p place) stage(r io.Reader) (*staged, int64, error) {
	s := &staged{p, filepath.Join(filepath.Dir(p.path), ".berth-write-"+uuid.NewString())}
	mode := fs.FileMode(0o666)
	if p.was != nil {
		mode = 0o600 // until it has the owner and the mode of the old one
	}
	f, err := os.OpenFile(s.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, 0, err
	}
	size, err := fill(f, r)
	if err == nil && p.was != nil {
		err = s.inherit(f)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, 0, errors.Join(err, os.Remove(s.temp))
	}
	return s, size, nil
}

func fill(f *os.File, r io.Reader) (int64, error) {
	size, err := io.Copy(f, io.LimitReader(r, MaxWrite+1))
	if err == nil && size > MaxWrite {
		err = fmt.Errorf("%w: a file that is written has at most %d bytes", ErrTooLarge, MaxWrite)
	}
	return size, err
}

// inherit gives f what the old file has. Only root can give files away; others who
// may write the file of somebody else own the new one.
func (s *staged) inherit(f *os.File) error {
	if old, ok := s.was.Sys().(*syscall.Stat_t); ok {
		_ = f.Chown(int(old.Uid), int(old.Gid))
	}
	return f.Chmod(s.was.Mode().Perm())
}

// take puts the content into its place, unless somebody has been there.
func (s *staged) take() error {
	if err := s.untouched(); err != nil {
		return errors.Join(err, s.drop())
	}
	if err := os.Rename(s.temp, s.path); err != nil {
		return errors.Join(err, s.drop())
	}
	return nil
}

// untouched reports, as an error, a file that is not what it was.
func (s *staged) untouched() error {
	now, err := os.Lstat(s.path)
	switch {
	case s.was == nil && errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case s.was == nil || !os.SameFile(s.was, now) || !s.was.ModTime().Equal(now.ModTime()) || s.was.Size() != now.Size():
		return fmt.Errorf("%s: %w", s.path, ErrChanged)
	}
	return nil
}

func (s *staged) drop() error { return os.Remove(s.temp) }
