package sshconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// File is an SSH configuration as it was read.
type File struct {
	Path string // of the file itself, not of a link to it
	Text []byte
	// Private has Replace take the rights of others away: what is written holds a
	// secret.
	Private bool

	info fs.FileInfo // nil when there is no file yet
}

// maxSize is the most that a configuration may hold, in bytes: far more than
// one that people write, and little enough to be read whole.
const maxSize = 16 << 20

// Read reads the configuration at an absolute path; links are followed. One that
// does not exist is empty.
func Read(path string) (*File, error) {
	path, err := follow(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &File{Path: path}, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if info.Size() > maxSize {
		return nil, fmt.Errorf("%s is larger than %d MiB", path, maxSize>>20)
	}
	text, err := os.ReadFile(path)
	return &File{Path: path, Text: text, info: info}, err
}

// maxLinks is how many links may follow on each other, as in Linux.
const maxLinks = 40

// follow returns where the links at path lead, also to a file that does not
// exist.
func follow(path string) (string, error) {
	at := path
	for range maxLinks {
		// Split and no Join, which would cut what leads through a link and back.
		dir, name := filepath.Split(at)
		dir, err := filepath.EvalSymlinks(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return at, nil
		}
		if err != nil {
			return "", err
		}
		at = filepath.Join(dir, name)
		info, err := os.Lstat(at)
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			return at, nil // whoever opens it sees the error
		}
		target, err := os.Readlink(at)
		if err != nil {
			return "", err
		}
		if at = target; !filepath.IsAbs(target) {
			at = dir + string(filepath.Separator) + target
		}
	}
	return "", fmt.Errorf("%s: too many links", path)
}

// ErrChanged says that somebody else has written the file since it was read.
var ErrChanged = errors.New("somebody else has changed it meanwhile")

// Replace writes the file anew, at once: whatever happens, everybody sees the
// old or the new content, whole, and after a nil error the new one also after a
// loss of power. A file keeps its mode and owner; a new one is the user's alone,
// and so is its directory if that is new.
func (f *File) Replace(text []byte) error {
	dir := filepath.Dir(f.Path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// A name that begins with a dot is in no Include of "dir/*".
	temp, err := os.CreateTemp(dir, ".coder-config-ssh-") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // nothing left of it after the rename
	_, err = temp.Write(text)
	if f.info != nil && err == nil {
		err = errors.Join(keepRights(temp, f.Path, f.info), temp.Chmod(f.mode()))
	}
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := f.unchanged(); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), f.Path); err != nil {
		return err
	}
	return syncDir(dir)
}

// mode is what a file that is there has afterwards.
func (f *File) mode() fs.FileMode {
	if f.Private {
		return f.info.Mode().Perm() &^ 0o077
	}
	return f.info.Mode().Perm()
}

// unchanged makes sure that the file is as it was read.
func (f *File) unchanged() error {
	text, err := os.ReadFile(f.Path)
	if errors.Is(err, fs.ErrNotExist) && f.info == nil {
		return nil
	}
	if err == nil && (f.info == nil || !bytes.Equal(text, f.Text)) || errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", f.Path, ErrChanged)
	}
	return err
}
