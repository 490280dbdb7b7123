//go:build linux

package home

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
)

// Names on a volume that are ours.
const (
	controlDir    = ".home-persist"
	workspacesDir = ".workspaces"
)

// asidePrefix begins the names of what is put aside beside a path; see aside.
const asidePrefix = ".home-persist."

// maxPath leaves room, in the 255 bytes of a name, for a path as a name of a
// directory of backups and for what an aside adds.
const maxPath = 200

// cleanPath returns a path as a manifest has it relative to the home, and
// whether it has the slash of a directory.
func cleanPath(declared, home string) (path string, isDir bool, err error) {
	path = strings.TrimPrefix(declared, "~/")
	if strings.HasPrefix(path, "/") {
		below, inside := strings.CutPrefix(path, strings.TrimSuffix(home, "/")+"/")
		if !inside || home == "" {
			return "", false, errors.New("is outside of the home")
		}
		path = below
	}
	path, isDir = strings.CutSuffix(path, "/")
	return path, isDir, checkPath(path)
}

func checkPath(path string) error {
	switch {
	case path == "" || path == "~":
		return errors.New("is empty, or the home itself")
	case strings.HasPrefix(path, "~"):
		return errors.New("begins with ~, which only ~/ may")
	case len(escape(path)) > maxPath:
		return fmt.Errorf("is longer than %d bytes", maxPath)
	case strings.ContainsFunc(path, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }):
		return errors.New("has control characters")
	}
	for part := range strings.SplitSeq(path, "/") {
		if err := checkPart(part); err != nil {
			return err
		}
	}
	if first, _, _ := strings.Cut(path, "/"); first == controlDir || first == workspacesDir {
		return fmt.Errorf("%s is a name of home persistence itself", first)
	}
	return nil
}

func checkPart(part string) error {
	switch {
	case part == "":
		return errors.New("has two slashes in a row")
	case part == "." || part == "..":
		return fmt.Errorf("has the component %q", part)
	case strings.HasPrefix(part, asidePrefix):
		return fmt.Errorf("%s… is a name of home persistence itself", asidePrefix)
	}
	return nil
}

// escape makes a path one name.
func escape(path string) string {
	return strings.NewReplacer("%", "%25", "/", "%2F").Replace(path)
}

// unescape undoes escape.
func unescape(name string) string {
	return strings.NewReplacer("%2F", "/", "%25", "%").Replace(name)
}

// checkWorkspace checks an id, which is a name on the volume.
func checkWorkspace(id string) error {
	odd := func(r rune) bool {
		return !(r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
	}
	if len(id) > 64 || strings.ContainsFunc(id, odd) {
		return fmt.Errorf("workspace id %q: want letters, digits and dashes, 64 at most", id)
	}
	return nil
}

// isWithin reports whether path is dir or below it. Both are clean.
func isWithin(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}
