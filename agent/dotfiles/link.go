package dotfiles

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Link is a link that should be made.
type Link struct {
	Path   string // where it goes
	Target string // where it leads, absolute
	Backup string // second name of what is at Path; "" if nothing is
}

// Links are those from dir to the dot files at the top of the clone in repo that
// are not there yet. Of a directory that dir has too, what is in it is linked, and
// not the whole: others keep things there. Both are absolute.
func Links(repo, dir string) ([]Link, error) {
	repo, err := filepath.EvalSymlinks(repo) // a link may change what leads there
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(repo)
	if err != nil {
		return nil, err
	}
	var all []Link
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") || e.Name() == ".git" {
			continue
		}
		more, err := links(filepath.Join(repo, e.Name()), filepath.Join(dir, e.Name()), repo)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// links are those that path needs to be target.
func links(target, path, repo string) ([]Link, error) {
	there, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return []Link{{Path: path, Target: target}}, nil
	}
	if err != nil {
		return nil, err
	}
	ours, err := os.Stat(target)
	if err != nil {
		return nil, fmt.Errorf("a link of the repository leads nowhere: %w", err)
	}
	if led, err := os.Stat(path); err == nil && os.SameFile(led, ours) {
		return nil, nil // it leads there already
	}
	if there.IsDir() && ours.IsDir() {
		return within(target, path, repo)
	}
	if rest, err := filepath.Rel(path, repo); err == nil && there.IsDir() && filepath.IsLocal(rest) {
		return nil, fmt.Errorf("%s would have to make room, and the clone is in it", path)
	}
	return []Link{{Path: path, Target: target, Backup: backupName(path, there)}}, nil
}

func within(target, path, repo string) ([]Link, error) {
	entries, err := os.ReadDir(target)
	if err != nil {
		return nil, err
	}
	var all []Link
	for _, e := range entries {
		more, err := links(filepath.Join(target, e.Name()), filepath.Join(path, e.Name()), repo)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// freeName is path with an end that nothing has.
func freeName(path string) string {
	name := path + ".bak"
	for n := 2; ; n++ {
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name
		}
		name = fmt.Sprintf("%s.bak.%d", path, n)
	}
}

// backupName is a free name, or the one that a run which was killed gave already.
func backupName(path string, there fs.FileInfo) string {
	name := path + ".bak"
	for n := 2; ; n++ {
		info, err := os.Lstat(name)
		if err != nil || os.SameFile(info, there) {
			return name
		}
		name = fmt.Sprintf("%s.bak.%d", path, n)
	}
}

// Make makes the link. What appeared at its path meanwhile stays, and is an error.
func (l Link) Make() error {
	if l.Backup == "" {
		if err := os.MkdirAll(filepath.Dir(l.Path), 0o755); err != nil {
			return err
		}
		return os.Symlink(l.Target, l.Path)
	}
	ready := l.Path + ".coder-new"
	if led, err := os.Readlink(ready); err == nil && led == l.Target { // of a run that was killed
		if err := os.Remove(ready); err != nil {
			return err
		}
	}
	if err := os.Symlink(l.Target, ready); err != nil {
		return err
	}
	if err := l.keep(); err != nil {
		return errors.Join(err, os.Remove(ready))
	}
	return os.Rename(ready, l.Path)
}

// keep gives a file at the path its second name; a directory, a link, and what has
// to be without two names, loses the first.
func (l Link) keep() error {
	there, err := os.Lstat(l.Path)
	if err != nil {
		return err
	}
	if kept, err := os.Lstat(l.Backup); err == nil {
		if os.SameFile(kept, there) {
			return nil
		}
		return fmt.Errorf("%s: %w", l.Backup, fs.ErrExist)
	}
	if there.Mode().IsRegular() {
		if err := os.Link(l.Path, l.Backup); err == nil || errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return os.Rename(l.Path, l.Backup) // some file systems have no second names
}
