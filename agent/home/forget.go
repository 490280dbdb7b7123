//go:build linux

package home

import (
	"context"
	"errors"
	"fmt"
	"path"

	"golang.org/x/sys/unix"
)

// Forget ends the persistence of a path that no manifest declares any more: the
// home gets its own copy in place of the link, and what is on the volume goes to
// the backups, whose name it returns.
func Forget(ctx context.Context, cfg Config, declared string) (backup string, code Code, err error) {
	if err := cfg.resolve(); err != nil {
		return "", Invalid, err
	}
	name, _, err := cleanPath(declared, cfg.given)
	if err != nil {
		return "", Invalid, fmt.Errorf("path %q %w", declared, err)
	}
	code, err = alone(ctx, cfg, func(s *session, all []declaration) error {
		d, err := s.forgettable(all, name)
		if err != nil {
			return err
		}
		backup, err = s.forget(ctx, d)
		return err
	})
	return backup, code, err
}

// forgettable finds what is known of a path that is declared nowhere.
func (s *session) forgettable(all []declaration, name string) (declaration, error) {
	records, err := s.records(s.control, all)
	if err != nil {
		return declaration{}, err
	}
	for _, r := range records[s.cfg.Workspace].Paths {
		if r.Path != name {
			continue
		}
		if declared(records, r.Scope, name, s.cfg.Workspace) {
			return declaration{}, fmt.Errorf("%s is declared still, by %s or in another workspace", name, r.Source)
		}
		return r.declaration(), nil
	}
	return declaration{}, fmt.Errorf("%s was not declared in this workspace", name)
}

func (s *session) forget(ctx context.Context, d declaration) (string, error) {
	p, err := s.find(d)
	if err != nil {
		return "", err
	}
	defer p.close()
	f, err := s.facts(p)
	if err != nil {
		return "", err
	}
	if f.home == link && f.leads == toPlace {
		if err := s.ownCopy(ctx, p, f); err != nil {
			return "", err
		}
	}
	var name string
	if f.volume != absent {
		b, err := s.control.backupsOf(d, s.cfg.Workspace)
		if err != nil {
			return "", err
		}
		defer b.close()
		if name, err = b.take(p.volume, forgotten); err != nil {
			return "", err
		}
		name = path.Join(controlDir, b.rel, name)
	}
	return name, s.links.remove(d.path)
}

// ownCopy puts a copy of what is on the volume in place of the link.
func (s *session) ownCopy(ctx context.Context, p *place, f facts) error {
	if f.volume == absent {
		return p.home.in.unlink(p.home.name)
	}
	tmp := node{p.home.in, aside(p.home.name)}
	err := s.copier(p).copy(ctx, p.volume, tmp, "")
	if err == nil {
		err = tmp.in.rename(tmp.name, p.home.in, p.home.name, unix.RENAME_EXCHANGE)
	}
	return errors.Join(err, tmp.remove()) // the link, or the half of a copy
}
