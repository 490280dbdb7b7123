//go:build linux

package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/berthdev/berth/agent/proto"
)

// writeSecrets puts the user's secrets that want a file where they belong: of
// two for one file the later counts. New files and directories are the user's
// alone; a file that is there keeps its mode. What cannot be written is said,
// without what it is.
func (a *Agent) writeSecrets(m *proto.Manifest, home string) {
	byPath := map[string][]byte{}
	for _, s := range m.GetSecrets() {
		if path := s.GetFilePath(); path != "" {
			byPath[secretPath(path, home)] = s.GetValue()
		}
	}
	for path, value := range byPath {
		if err := writeSecret(path, value); err != nil {
			a.log.Warn("secret not written", "path", path, "err", err)
		}
	}
}

// secretPath is where a secret belongs; a relative path is below home.
func secretPath(path, home string) string {
	if rest, is := strings.CutPrefix(path, "~/"); is {
		path = rest
	}
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(home, path)
}

// writeSecret replaces a file by rename, so that nobody reads half of it.
func writeSecret(path string, value []byte) error {
	mode := fs.FileMode(0o600)
	switch st, err := os.Stat(path); {
	case err == nil && !st.Mode().IsRegular():
		return fmt.Errorf("%s is no file", path)
	case err == nil:
		mode = st.Mode().Perm()
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".secret-*")
	if err != nil {
		return err
	}
	_, err = f.Write(value)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
