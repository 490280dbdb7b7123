package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// MaxEntries is how many entries of a directory List returns: more than a person
// or a program that shows them can use.
const MaxEntries = 10_000

// Entry is one name in a directory.
type Entry struct {
	Name string `json:"name"`
	Path string `json:"path"`
	// IsDir says what the name leads to, also over a symbolic link.
	IsDir     bool      `json:"is_dir"`
	IsSymlink bool      `json:"is_symlink"`
	Size      int64     `json:"size_bytes"`
	Mode      string    `json:"mode"` // as ls shows it
	Modified  time.Time `json:"modified"`
}

// Listing is what is in a directory: directories first, each kind by name.
type Listing struct {
	Path     string  `json:"path"`
	Contents []Entry `json:"contents"`
	// Truncated says that there are more than MaxEntries; which ones are left out
	// is not defined.
	Truncated bool `json:"truncated"`
}

// List returns what is in the directory at an absolute path. What vanishes while
// it is read is left out.
func List(path string) (Listing, error) {
	dir, err := os.Open(path)
	if err != nil {
		return Listing{}, err
	}
	defer dir.Close()
	if st, err := dir.Stat(); err == nil && !st.IsDir() {
		return Listing{}, invalidf("%s is no directory", path)
	}
	names, err := dir.Readdirnames(MaxEntries + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return Listing{}, fmt.Errorf("read directory: %w", err)
	}
	l := Listing{Path: path, Contents: []Entry{}, Truncated: len(names) > MaxEntries}
	names = names[:min(len(names), MaxEntries)]
	slices.Sort(names)
	files := []Entry{}
	for _, name := range names {
		switch e, err := entry(path, name); {
		case err != nil:
		case e.IsDir:
			l.Contents = append(l.Contents, e)
		default:
			files = append(files, e)
		}
	}
	l.Contents = append(l.Contents, files...)
	return l, nil
}

func entry(dir, name string) (Entry, error) {
	path := filepath.Join(dir, name)
	st, err := os.Lstat(path)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{
		Name: name, Path: path, IsDir: st.IsDir(), IsSymlink: st.Mode()&fs.ModeSymlink != 0,
		Size: st.Size(), Mode: st.Mode().String(), Modified: st.ModTime(),
	}
	if e.IsSymlink {
		target, err := os.Stat(path)
		e.IsDir = err == nil && target.IsDir()
	}
	return e, nil
}
