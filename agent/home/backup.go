//go:build linux

package home

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of the backups of one path, for each reason. The newest one stays
// whatever its size.
const (
	maxBackups     = 5
	maxBackupBytes = 50 << 20
)

// why says how something came into the backups.
type why string

// Reasons. Those of a file that is saved all day do not push out others.
const (
	fromHome   why = "home"      // the volume's copy counted
	fromVolume why = "replaced"  // the home's copy counted
	forgotten  why = "forgotten" // nobody wanted it
)

// backups are those of one path.
type backups struct {
	control *control
	rel     string // in control
	at      *dir   // nil if there are none yet
}

// backupsOf opens the backups of a path; the caller closes them.
func (c *control) backupsOf(d declaration, workspace string) (*backups, error) {
	b := &backups{control: c, rel: path.Join(backupDir, backupScope(d.scope, workspace), escape(d.path))}
	at, err := c.walk(b.rel)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	b.at = at
	return b, nil
}

// backupDir is in the control directory, and has a directory for each scope.
const backupDir = "backup"

func backupScope(s Scope, workspace string) string {
	if s == Workspace {
		return "workspace-" + workspace
	}
	return string(Owner)
}

func (b *backups) close() {
	if b.at != nil {
		b.at.close()
	}
}

// make makes the directory of the backups.
func (b *backups) make() (err error) {
	if b.at == nil {
		b.at, err = b.control.walkMaking(b.rel, nil)
	}
	return err
}

// all are the backups that there are, the oldest first.
func (b *backups) all() ([]node, error) {
	if b.at == nil {
		return nil, nil
	}
	names, err := b.at.names() // sorted, and so by time
	var nodes []node
	for _, name := range names {
		nodes = append(nodes, node{b.at, name})
	}
	return nodes, err
}

// newName begins with a time that sorts.
func newName(w why) string {
	return time.Now().UTC().Format("20060102T150405.000000000Z") + "-" + string(w)
}

// save makes a backup of the named parts of a tree and returns its name.
func (b *backups) save(ctx context.Context, tree node, parts []string, w why) (string, error) {
	tmp := b.control.fresh()
	for _, rel := range parts {
		if err := copyPart(ctx, tree, rel, tmp); err != nil {
			return "", errors.Join(err, tmp.remove())
		}
	}
	name, err := b.take(tmp, w)
	if err != nil {
		return "", errors.Join(err, tmp.remove())
	}
	return name, nil
}

// take moves what is on the volume into the backups and returns its name there.
func (b *backups) take(n node, w why) (string, error) {
	if err := b.make(); err != nil {
		return "", err
	}
	name := newName(w)
	if err := n.moveNew(node{b.at, name}); err != nil {
		return "", err
	}
	return name, errors.Join(b.at.sync(), n.in.sync())
}

// copyPart copies what is at rel in a tree to the same place in another.
func copyPart(ctx context.Context, tree node, rel string, to node) error {
	if rel == "" {
		return copier{}.copy(ctx, tree, to, "")
	}
	from, err := tree.in.sub(tree.name)
	if err != nil {
		return err
	}
	defer from.close()
	into, err := to.in.make(to.name, 0o700)
	if err != nil {
		return err
	}
	defer into.close()
	return copyBelow(ctx, from, into, rel)
}

func copyBelow(ctx context.Context, from, into *dir, rel string) error {
	parent, name := path.Split(rel)
	src, err := from.walk(parent)
	if err != nil {
		return err
	}
	defer src.close()
	dst, err := into.walkMaking(parent, from)
	if err != nil {
		return err
	}
	defer dst.close()
	return copier{}.copy(ctx, node{src, name}, node{dst, name}, rel)
}

// keep gives a file on the volume a second name in the backups, so that a
// rename over it loses nothing. Where links cannot be made it is copied.
func (b *backups) keep(ctx context.Context, n node) (string, error) {
	if err := b.make(); err != nil {
		return "", err
	}
	name := newName(fromVolume)
	err := n.in.link(n.name, b.at, name)
	switch {
	case err == nil:
		return name, b.at.sync()
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EMLINK):
		return b.save(ctx, n, []string{""}, fromVolume)
	}
	return "", err
}

// prune deletes the oldest of each reason until the rest is within the bounds.
func (b *backups) prune() error {
	all, err := b.all()
	if err != nil {
		return err
	}
	slices.Reverse(all)
	count, bytes := map[string]int{}, map[string]int64{}
	for _, n := range all {
		_, reason, _ := strings.Cut(n.name, "-")
		size, err := n.size()
		if err != nil {
			return err
		}
		count[reason]++
		bytes[reason] += size
		if count[reason] > 1 && (count[reason] > maxBackups || bytes[reason] > maxBackupBytes) {
			if err := b.discard(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// discard deletes a backup in one step, so that no half of one stays.
func (b *backups) discard(n node) error {
	tmp := b.control.fresh()
	if err := n.in.rename(n.name, tmp.in, tmp.name, 0); err != nil {
		return err
	}
	return tmp.remove()
}
