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
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(string(d), name+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing left of it after the rename
	_, err = f.WriteString(content + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", f.Name(), err)
	}
	return os.Rename(f.Name(), filepath.Join(string(d), name))
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
