//go:build linux

package sftp

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// answerName answers with one name without attributes.
func (s *session) answerName(id uint32, name string) error {
	s.answer.start(typeName, id)
	s.answer.uint32(1)
	s.answer.string(name)
	s.answer.string(name)
	s.answer.uint32(0) // no attributes
	return errAnswered
}

func (s *session) readlink(id uint32, r *reader) error {
	path, err := s.path(r)
	if err != nil || r.err != nil {
		return err
	}
	target, err := os.Readlink(path)
	if err != nil {
		return err
	}
	return s.answerName(id, target)
}

// symlink keeps the target as it is: what it is relative to is the link. The
// order of the names is OpenSSH's, which differs from the draft's.
func (s *session) symlink(r *reader) error {
	target := r.string()
	return s.onPath(r, func(link string) error { return unix.Symlink(target, link) })
}

func (s *session) realpath(id uint32, r *reader) error {
	path, err := s.path(r)
	if err != nil || r.err != nil {
		return err
	}
	return s.answerRealpath(id, path)
}

// answerRealpath resolves symbolic links; the last part of path need not exist,
// because clients ask for the name of what they are about to make.
func (s *session) answerRealpath(id uint32, path string) error {
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		dir, last := filepath.Split(strings.TrimRight(path, "/"))
		if real, err = filepath.EvalSymlinks(dir); err == nil {
			real = filepath.Join(real, last)
		}
	}
	if err != nil {
		return err
	}
	return s.answerName(id, real)
}

// expandPath is realpath that knows "~" and "~user".
func (s *session) expandPath(id uint32, r *reader) error {
	name := r.string()
	if r.err != nil {
		return nil
	}
	if user, tilde := strings.CutPrefix(name, "~"); tilde {
		user, rest, _ := strings.Cut(user, "/")
		home, err := s.homeOf(user)
		if err != nil {
			return err
		}
		name = home + "/" + rest
	}
	path, err := s.absolute(name)
	if err != nil {
		return err
	}
	return s.answerRealpath(id, path)
}

// homeDirectory answers home-directory: the home of a user by name.
func (s *session) homeDirectory(id uint32, r *reader) error {
	user := r.string()
	if r.err != nil {
		return nil
	}
	home, err := s.homeOf(user)
	if err != nil {
		return err
	}
	return s.answerName(id, home)
}

func (s *session) homeOf(user string) (string, error) {
	if user == "" {
		return s.cfg.Home, nil
	}
	return homeDirectoryOf(user)
}
