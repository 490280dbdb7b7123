//go:build linux

package home

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
)

// place is a declared path with its two ends. The directory of an end is nil if
// it is not there.
type place struct {
	declaration
	home, volume node
}

func (p *place) close() {
	for _, n := range []node{p.home, p.volume} {
		if n.in != nil {
			n.in.close()
		}
	}
}

// find opens both ends of a path; the caller closes them.
func (s *session) find(d declaration) (*place, error) {
	at := filepath.Join(s.cfg.Home, d.path)
	switch point, err := mountedBelow(at); {
	case err != nil:
		return nil, err
	case point != "":
		return nil, fmt.Errorf("%s is a mount point", point)
	}
	p := &place{declaration: d}
	parent, name := path.Split(d.path)
	p.home.name, p.volume.name = name, name
	var err error
	if p.home.in, err = s.home.walk(parent); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if p.volume.in, err = s.volume.walk(path.Join(s.basePath(d.scope), parent)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.close()
		return nil, err
	}
	return p, nil
}

// onVolumeNow looks a path up on the volume.
func (s *session) onVolumeNow(d declaration) (entry, error) {
	in, err := s.volume.walk(path.Join(s.basePath(d.scope), path.Dir(d.path)))
	if errors.Is(err, fs.ErrNotExist) {
		return entry{}, nil
	}
	if err != nil {
		return entry{}, err
	}
	defer in.close()
	return in.stat(path.Base(d.path))
}

// basePath is where paths of a scope are on the volume.
func (s *session) basePath(scope Scope) string {
	if scope == Workspace {
		return path.Join(workspacesDir, s.cfg.Workspace)
	}
	return "."
}

// facts looks at both ends of a path.
func (s *session) facts(p *place) (facts, error) {
	f := facts{
		dir: p.dir, noSeed: p.noSeed, merge: p.merge, wasLink: s.links.paths[p.path],
		linksOnly: s.control == nil, full: s.full, takeBack: s.takeBack,
	}
	var home, volume entry
	var err error
	if p.home.in != nil {
		home, err = p.home.stat()
	}
	if err == nil && p.volume.in != nil {
		volume, err = p.volume.stat()
	}
	f.home, f.volume = home.kind, volume.kind
	f.newer = !home.changed.Before(volume.lastWritten())
	if home.kind == link {
		f.leads = s.cfg.leads(p.declaration, home.target)
	}
	return f, err
}

// leads says where a link at the path of d leads, by what it says.
func (c *Config) leads(d declaration, target string) linkTo {
	if !filepath.IsAbs(target) {
		target = filepath.Join(c.Home, filepath.Dir(d.path), target)
	}
	switch target = filepath.Clean(target); {
	case target == c.target(d):
		return toPlace
	case isWithin(target, c.Volume):
		return toVolume
	}
	return elsewhere
}

// homeParent opens the directory of the path in the home, and makes it as it is
// on the volume if need be.
func (s *session) homeParent(p *place) error {
	if p.home.in != nil {
		return nil
	}
	like, err := s.volume.walk(s.basePath(p.scope))
	if err != nil {
		return err
	}
	defer like.close()
	p.home.in, err = s.home.walkMaking(path.Dir(p.path), like)
	return err
}

// volumeParent opens the directory of the path on the volume, and makes it as
// it is in the home if need be.
func (s *session) volumeParent(p *place) error {
	if p.volume.in != nil {
		return nil
	}
	base, err := s.volume.walkMaking(s.basePath(p.scope), nil)
	if err != nil {
		return err
	}
	defer base.close()
	p.volume.in, err = base.walkMaking(path.Dir(p.path), s.home)
	return err
}
