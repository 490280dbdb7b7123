//go:build linux

package script

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxFile is how large the file of a script may be when a run begins, in bytes:
// a larger one is put aside, in place of the one that was before.
const maxFile = 16 << 20

// openLog opens a file to append to, for its owner alone. A link in its place may
// be somebody else's, where the directory is everybody's.
func openLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if tooLarge(path) {
		if err := os.Rename(path, path+".old"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
}

func tooLarge(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && st.Size() > maxFile
}

// logPath is where the output of a script goes. env is that of a login.
func logPath(s Script, dir string, env []string) string {
	if s.LogPath == "" {
		return filepath.Join(dir, "coder-script-"+s.Source.String()+".log")
	}
	path := os.Expand(s.LogPath, func(name string) string { return lookup(env, name) })
	if path == "~" || strings.HasPrefix(path, "~/") {
		path = lookup(env, "HOME") + path[1:]
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return path
}

// lookup returns the last value of a variable.
func lookup(env []string, name string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(env[i], name+"="); ok {
			return value
		}
	}
	return ""
}
