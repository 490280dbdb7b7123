//go:build linux

package home

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"golang.org/x/sys/unix"
)

// carryOut does what was decided. When it returns an error, all that was there
// is still there, in its place or in a backup.
func (s *session) carryOut(ctx context.Context, p *place, d decision) error {
	if err := s.onVolume(ctx, p, d.volume); err != nil {
		return err
	}
	switch d.home {
	case makeLink:
		return s.makeLink(p)
	case replace:
		return s.replace(ctx, p, !p.dir && (d.volume == fold || d.volume == seed))
	}
	return nil
}

func (s *session) onVolume(ctx context.Context, p *place, step volumeStep) error {
	if step == leaveVolume {
		return nil
	}
	if err := s.volumeParent(p); err != nil {
		return err
	}
	switch step {
	case makeDir:
		err := p.volume.in.mkdir(p.volume.name, uint32(p.mode))
		if errors.Is(err, fs.ErrExist) {
			return errAgain
		}
		return err
	case seed:
		return s.put(ctx, p, p.home, p.volume, "")
	case merge:
		return s.addMissing(ctx, p, p.home, p.volume, "")
	case fold:
		return s.fold(ctx, p, p.home)
	}
	return nil
}

// put copies src, whose path in the tree of p is rel, to dst on the volume, all
// or nothing. If something is at dst meanwhile it is left, and looked at again.
func (s *session) put(ctx context.Context, p *place, src, dst node, rel string) error {
	tmp := s.control.fresh()
	err := s.copier(p).copy(ctx, src, tmp, rel)
	if err == nil {
		err = tmp.moveNew(dst)
	}
	if err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = errAgain
		}
		return errors.Join(err, tmp.remove())
	}
	return dst.in.sync()
}

// copier tells of what it leaves out.
func (s *session) copier(p *place) copier {
	return copier{skip: func(rel string) {
		s.report.say(p.line(Info, Skipped, path.Join(p.path, rel)+" is no file, directory or link"))
	}}
}

// addMissing puts what the directory dst on the volume does not have there.
func (s *session) addMissing(ctx context.Context, p *place, src, dst node, rel string) error {
	return dst.enter(func(to *dir, _ []string) error {
		return src.enter(func(from *dir, names []string) error {
			for _, name := range names {
				if err := s.addOne(ctx, p, node{from, name}, node{to, name}, path.Join(rel, name)); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func (s *session) addOne(ctx context.Context, p *place, src, dst node, rel string) error {
	have, err := src.stat()
	if err != nil {
		return err
	}
	there, err := dst.stat()
	switch {
	case err != nil:
		return err
	case there.kind == absent && (have.kind == file || have.kind == directory || have.kind == link):
		return s.put(ctx, p, src, dst, rel)
	case there.kind == directory && have.kind == directory:
		return s.addMissing(ctx, p, src, dst, rel)
	}
	return nil
}

// fold puts a copy of a file in place of the volume's, whose content goes to
// the backups first, unless they are the same.
func (s *session) fold(ctx context.Context, p *place, src node) error {
	differs, err := src.unsaved([]node{p.volume})
	if err != nil || len(differs) == 0 {
		return err
	}
	tmp := s.control.fresh()
	if err := s.copier(p).copy(ctx, src, tmp, ""); err != nil {
		return errors.Join(err, tmp.remove())
	}
	err = s.keepOld(ctx, p)
	if err == nil {
		err = tmp.in.rename(tmp.name, p.volume.in, p.volume.name, 0)
	}
	if err != nil {
		return errors.Join(err, tmp.remove())
	}
	return p.volume.in.sync()
}

func (s *session) keepOld(ctx context.Context, p *place) error {
	b, err := s.control.backupsOf(p.declaration, s.cfg.Workspace)
	if err != nil {
		return err
	}
	defer b.close()
	saved, err := b.all()
	if err != nil {
		return err
	}
	parts, err := p.volume.unsaved(saved)
	if err != nil || len(parts) == 0 {
		return err
	}
	name, err := b.keep(ctx, p.volume)
	if err != nil {
		return err
	}
	s.report.say(p.line(Info, BackedUp, name+" is what was on the volume"))
	return nil
}

// makeLink makes the link where nothing is.
func (s *session) makeLink(p *place) error {
	if err := s.homeParent(p); err != nil {
		return err
	}
	err := p.home.in.symlink(s.cfg.target(p.declaration), p.home.name)
	if errors.Is(err, fs.ErrExist) {
		return errAgain
	}
	return err
}

// replace puts the link in place of what the home has, and deletes that once
// all of it is saved. In between it has the name of an aside. copied says that
// the volume has a copy of this file, just made.
func (s *session) replace(ctx context.Context, p *place, copied bool) error {
	if _, err := s.saveRest(ctx, p, p.home); err != nil {
		return err
	}
	old, err := s.swap(p)
	if err != nil {
		return err
	}
	if copied { // a program may have written to the file until now
		if err := s.fold(ctx, p, old); err != nil {
			return err
		}
	}
	return s.retire(ctx, p, old)
}

// swap exchanges what is there with the link and returns where it is now.
func (s *session) swap(p *place) (node, error) {
	old := node{p.home.in, aside(p.home.name)}
	if err := old.in.symlink(s.cfg.target(p.declaration), old.name); err != nil {
		return old, err
	}
	err := old.in.rename(old.name, p.home.in, p.home.name, unix.RENAME_EXCHANGE)
	if err == nil {
		return old, nil
	}
	if gone := old.in.unlink(old.name); gone != nil {
		return old, errors.Join(err, gone)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return old, errAgain
	case errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS):
		return old, s.putAside(p, old)
	}
	return old, err
}

// putAside does in two steps what swap does in one, for directories of an image,
// which an overlay cannot rename, and file systems without an exchange.
func (s *session) putAside(p *place, old node) error {
	if err := p.home.move(old); err != nil {
		if errors.Is(err, unix.ENOTEMPTY) { // a program wrote there just now
			return errAgain
		}
		return err
	}
	err := s.makeLink(p)
	if err != nil && !errors.Is(err, errAgain) {
		return errors.Join(err, old.move(p.home))
	}
	return err
}

// retire deletes what was put aside. What programs wrote to it until then is
// saved first; what they never stop writing to stays, for the next time.
func (s *session) retire(ctx context.Context, p *place, old node) error {
	rest, err := true, error(nil)
	for try := 0; try < 5 && rest && err == nil; try++ {
		rest, err = s.saveRest(ctx, p, old)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w; it is %s now", err, old.in.path(old.name))
	case rest:
		return fmt.Errorf("a program writes to %s all the time: it stays there", old.in.path(old.name))
	}
	return old.remove()
}

// saveRest backs up what of a tree in the home is neither on the volume nor in
// a backup, and reports whether there was something.
func (s *session) saveRest(ctx context.Context, p *place, tree node) (rest bool, err error) {
	e, err := tree.stat()
	if err != nil || e.kind == link && s.cfg.leads(p.declaration, e.target) != elsewhere {
		return false, err
	}
	if s.control == nil {
		return false, errors.New("nothing can be saved on the volume")
	}
	b, err := s.control.backupsOf(p.declaration, s.cfg.Workspace)
	if err != nil {
		return false, err
	}
	defer b.close()
	saved, err := b.all()
	if err != nil {
		return false, err
	}
	if p.volume.in != nil {
		saved = append(saved, p.volume)
	}
	parts, err := tree.unsaved(saved)
	if err != nil || len(parts) == 0 {
		return false, err
	}
	name, err := b.save(ctx, tree, parts, fromHome)
	if err != nil {
		return true, err
	}
	s.report.say(p.line(Info, BackedUp, fmt.Sprintf("%s is what was in the home (files: %d)", name, len(parts))))
	return true, nil
}

// sweep retires what a process that was killed left aside.
func (s *session) sweep(ctx context.Context, d declaration) error {
	p, err := s.find(d)
	if err != nil {
		return err
	}
	defer p.close()
	if p.home.in == nil {
		return nil
	}
	names, err := p.home.in.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if isAside(name, p.home.name) {
			err = errors.Join(err, s.retire(ctx, p, node{p.home.in, name}))
		}
	}
	return err
}
