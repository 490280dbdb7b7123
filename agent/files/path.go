package files

import (
	"path/filepath"
	"strings"
)

// Resolve returns the absolute form of a path; home stands for a leading "~".
func Resolve(path, home string) (string, error) {
	if path == "~" || strings.HasPrefix(path, "~/") {
		path = home + path[1:]
	}
	switch {
	case path == "":
		return "", invalid("there is no path")
	case strings.ContainsRune(path, 0):
		return "", invalid("a path has no NUL")
	case !filepath.IsAbs(path):
		return "", invalidf("%q is not absolute: begin it with / or ~/", path)
	}
	return filepath.Clean(path), nil
}
