package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// configDir is the directory that keeps the URL of the server and the session.
// Editors read and write the same files, so that their names are fixed.
type configDir string

// The files of a configDir; each holds one line.
const (
	fileURL          = "url"
	fileSession      = "session"
	fileOrganization = "organization"
)

func (g *globals) config() (configDir, error) {
	if g.configDir != "" {
		return configDir(g.configDir), nil
	}
	base, err := os.UserConfigDir()
	if err != nil {
		return "", withHint(fmt.Errorf("find the configuration directory: %w", err), "set CODER_CONFIG_DIR")
	}
	return configDir(filepath.Join(base, "coderv2")), nil
}

// read returns the content of a file without blanks around it, and "" when
// there is none.
func (d configDir) read(name string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(string(d), name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(raw)), err
}

// write replaces a file at once: a reader sees the old or the new content. Only
// the user may read it.
func (d configDir) write(name, content string) error {
	temporary, err := d.prepare(name, content)
	if err != nil {
		return err
	}
	defer os.Remove(temporary) // nothing left of it after the rename
	return os.Rename(temporary, filepath.Join(string(d), name))
}

// writePair replaces two files that belong together, once there is room for both.
func (d configDir) writePair(first, content, second, other string) error {
	temporary, err := d.prepare(first, content)
	if err != nil {
		return err
	}
	defer os.Remove(temporary)
	if err := d.write(second, other); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(string(d), first))
}

// prepare writes what a file is to hold to one beside it, and returns its path.
func (d configDir) prepare(name, content string) (path string, err error) {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(string(d), name+".*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(content + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// remove deletes files; those that are missing are fine.
func (d configDir) remove(names ...string) error {
	var all error
	for _, name := range names {
		if err := os.Remove(filepath.Join(string(d), name)); !errors.Is(err, fs.ErrNotExist) {
			all = errors.Join(all, err)
		}
	}
	return all
}
