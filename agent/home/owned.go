//go:build linux

package home

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// notOwned finds what others than the owner of the home own at declared paths:
// whoever built the image made it as root, and the user may not copy it.
func notOwned(all []declaration, home string) (lines []Line) {
	top, err := openRoot(home, nil)
	if errors.Is(err, fs.ErrNotExist) || home == "" {
		return nil
	}
	if err != nil {
		return []Line{{Level: Error, Action: Failed, Detail: err.Error()}}
	}
	defer top.close()
	owner, err := top.stat(".")
	if err != nil {
		return []Line{{Level: Error, Action: Failed, Detail: err.Error()}}
	}
	for _, d := range all {
		if err := ownedBy(top, d, owner.uid); err != nil {
			lines = append(lines, d.line(Error, Failed, err.Error()))
		}
	}
	return lines
}

func ownedBy(home *dir, d declaration, uid uint32) error {
	in, err := home.walk(path.Dir(d.path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.close()
	return node{in, path.Base(d.path)}.walk("", func(_ string, at node, e entry) error {
		if e.kind != absent && e.uid != uid {
			return fmt.Errorf("%s belongs to user %d, and the home to user %d", at.in.path(at.name), e.uid, uid)
		}
		return nil
	})
}
