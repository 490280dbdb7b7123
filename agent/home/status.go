//go:build linux

package home

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"
)

// State is how a path is.
type State string

// States of paths.
const (
	Good     State = "ok"       // a link to what is on the volume
	Dangling State = "dangling" // a link, and nothing on the volume yet
	Replaced State = "replaced" // a program put something in place of the link
	Astray   State = "foreign"  // a link to somewhere else
	Conflict State = "conflict" // cannot be linked as it is
	Unlinked State = "unlinked" // Apply has not been there yet
	Orphaned State = "orphan"   // on the volume, and nobody declares it
)

// Row is what is known of one path.
type Row struct {
	Path   string `json:"path"` // relative to the home; of an orphan, to the volume
	Source string `json:"source"`
	Scope  Scope  `json:"scope"`
	Type   string `json:"type"` // dir or file
	State  State  `json:"state"`
	Detail string `json:"detail,omitempty"`
	Bytes  int64  `json:"bytes"` // on the volume
}

// Status says how each declared path is, and which are orphans. It changes
// nothing and waits for no lock. The code says whether all of them are good.
func Status(cfg Config) ([]Row, Code, error) {
	if err := cfg.resolve(); err != nil {
		return nil, Invalid, err
	}
	all, _, code := cfg.declarations()
	if code == Invalid {
		return nil, code, errors.New("no valid manifest in " + cfg.Manifests)
	}
	s := &session{cfg: cfg, links: &links{}}
	defer s.end()
	if code, err := s.open(); err != nil {
		return nil, code, err
	}
	if at, err := openRoot(cfg.StateDir, nil); err == nil {
		s.later(at.close)
		if s.links, err = readLinks(at); err != nil {
			return nil, Partial, err
		}
	}
	var rows []Row
	for _, d := range all {
		rows = append(rows, s.row(d))
	}
	orphans, err := s.orphanRows(all)
	rows = append(rows, orphans...)
	for _, r := range rows {
		if r.State != Good {
			code = Partial
		}
	}
	return rows, code, err
}

func (s *session) row(d declaration) Row {
	r := Row{Path: d.path, Source: d.source, Scope: d.scope, Type: typeName(d.dir)}
	p, err := s.find(d)
	if err != nil {
		r.State, r.Detail = Conflict, err.Error()
		return r
	}
	defer p.close()
	f, err := s.facts(p)
	if err != nil {
		r.State, r.Detail = Conflict, err.Error()
		return r
	}
	if f.volume != absent {
		if r.Bytes, err = p.volume.size(); err != nil {
			r.Detail = err.Error()
		}
	}
	var misfit string
	if r.State, misfit = f.state(); misfit != "" {
		r.Detail = misfit
	}
	return r
}

func typeName(dir bool) string {
	if dir {
		return "dir"
	}
	return "file"
}

// state is what the facts are called, and why if that is not plain.
func (f facts) state() (State, string) {
	d, wrong := f.misfit()
	switch {
	case wrong && d.action == Foreign:
		return Astray, ""
	case wrong:
		return Conflict, d.detail
	case f.home == link && f.leads == toVolume:
		return Conflict, "the link leads elsewhere on the volume"
	case f.home == link && f.volume == absent:
		return Dangling, ""
	case f.home == link:
		return Good, ""
	case f.home == absent || f.volume == absent && !f.wasLink:
		return Unlinked, ""
	case f.wasLink:
		return Replaced, ""
	}
	return Conflict, "the home has its own, and so has the volume"
}

// staleAfter is when a workspace of which nothing was heard is shown as an
// orphan: it may have been deleted, or only be stopped.
const staleAfter = 30 * 24 * time.Hour

func (s *session) orphanRows(all []declaration) ([]Row, error) {
	c, err := s.volume.sub(controlDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer c.close()
	orphans, err := s.orphans(&control{dir: c}, all)
	if err != nil {
		return nil, fmt.Errorf("look for orphans: %w", err)
	}
	var rows []Row
	for _, o := range orphans {
		if o.dropped || time.Since(o.Since) > staleAfter {
			rows = append(rows, Row{
				Path: path.Clean(o.Path), Source: o.Source, Scope: o.Scope, Type: typeName(o.Dir), State: Orphaned,
				Detail: "since " + o.Since.Format(time.DateOnly), Bytes: o.Bytes,
			})
		}
	}
	return rows, nil
}
