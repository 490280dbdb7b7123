//go:build linux

package home

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path"
)

// unsaved returns the paths in n, "" for n itself, of the files and links of
// which none of the others has the same at the same path.
func (n node) unsaved(others []node) ([]string, error) {
	e, err := n.stat()
	if err != nil {
		return nil, err
	}
	switch e.kind {
	case file, link:
		for _, other := range others {
			if same, err := n.same(e, other); err != nil || same {
				return nil, err
			}
		}
		return []string{""}, nil
	case directory:
		return n.unsavedBelow(others)
	}
	return nil, nil
}

func (n node) unsavedBelow(others []node) (all []string, err error) {
	dirs, err := openDirs(others)
	defer func() {
		for _, d := range dirs {
			d.close()
		}
	}()
	if err != nil {
		return nil, err
	}
	err = n.enter(func(d *dir, names []string) error {
		for _, name := range names {
			var there []node
			for _, other := range dirs {
				there = append(there, node{other, name})
			}
			below, err := node{d, name}.unsaved(there)
			if err != nil {
				return err
			}
			for _, rel := range below {
				all = append(all, path.Join(name, rel))
			}
		}
		return nil
	})
	return all, err
}

// openDirs opens those of the nodes that are directories.
func openDirs(nodes []node) (dirs []*dir, err error) {
	for _, n := range nodes {
		if e, err := n.stat(); err != nil || e.kind != directory {
			continue
		}
		d, err := n.in.sub(n.name)
		if err != nil {
			return dirs, err
		}
		dirs = append(dirs, d)
	}
	return dirs, nil
}

// same reports whether other has the content of the file or link n.
func (n node) same(e entry, other node) (bool, error) {
	o, err := other.stat()
	switch {
	case err != nil:
		return false, err
	case o.kind != e.kind || o.size != e.size || o.target != e.target:
		return false, nil
	case e.kind == link || o.device == e.device && o.inode == e.inode:
		return true, nil
	}
	a, err := n.openFile()
	if err != nil {
		return false, err
	}
	defer a.Close()
	b, err := other.openFile()
	if err != nil {
		return false, err
	}
	defer b.Close()
	return sameBytes(a, b)
}

// sameBytes compares two files to their ends.
func sameBytes(a, b *os.File) (bool, error) {
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(a, x)
		m, err2 := io.ReadFull(b, y)
		if !bytes.Equal(x[:n], y[:m]) {
			return false, nil
		}
		if ended(err) || ended(err2) {
			return ended(err) && ended(err2), nil
		}
		if err := errors.Join(err, err2); err != nil {
			return false, err
		}
	}
}

func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
