//go:build linux

package home

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// Orphan is something on the volume that no workspace declares: a path that one
// once did, all of a workspace that does not come any more, or backups of
// either.
type Orphan struct {
	Path   string // relative to the volume
	Source string
	Scope  Scope
	Dir    bool
	Since  time.Time // when it was last declared, applied or saved
	Bytes  int64

	dropped   bool   // a path that was declared
	workspace string // all of whose is this; "" if it is no workspace's
}

// Orphans returns what Collect could delete: of that which nobody has declared
// for so long. It changes nothing.
func Orphans(ctx context.Context, cfg Config, older time.Duration) ([]Orphan, Code, error) {
	var found []Orphan
	code, err := alone(ctx, cfg, func(s *session, all []declaration) (err error) {
		found, err = s.old(all, older)
		return err
	})
	return found, code, err
}

// Collect deletes orphans, for good, of those that still are as old.
func Collect(ctx context.Context, cfg Config, chosen []Orphan, older time.Duration) (Code, error) {
	return alone(ctx, cfg, func(s *session, all []declaration) error {
		found, err := s.old(all, older)
		if err != nil {
			return err
		}
		for _, o := range found {
			if slices.ContainsFunc(chosen, func(c Orphan) bool { return c.Path == o.Path }) {
				err = errors.Join(err, s.collect(o))
			}
		}
		return err
	})
}

// alone does something on a volume that may be changed, with the lock.
func alone(ctx context.Context, cfg Config, do func(s *session, all []declaration) error) (Code, error) {
	if err := cfg.resolve(); err != nil {
		return Invalid, err
	}
	all, lines, _ := cfg.declarations()
	for _, l := range lines {
		if l.Level == Error && l.Path == "" { // what it declares is not known
			return Invalid, errors.New(l.String())
		}
	}
	r := newReport(cfg)
	s, ok := begin(ctx, cfg, r)
	if !ok {
		return r.code, errors.New("see the lines above")
	}
	defer s.end()
	if s.control == nil {
		return r.code, errors.New("the volume cannot be changed")
	}
	if err := do(s, all); err != nil {
		return Partial, err
	}
	return OK, nil
}

func (s *session) old(all []declaration, older time.Duration) ([]Orphan, error) {
	found, err := s.orphans(s.control, all)
	return slices.DeleteFunc(found, func(o Orphan) bool { return time.Since(o.Since) < older }), err
}

// orphans finds them all; of other workspaces also those that are in use, whose
// Since is when they were last applied.
func (s *session) orphans(c *control, all []declaration) ([]Orphan, error) {
	records, err := s.records(c, all)
	if err != nil {
		return nil, err
	}
	paths, err := s.droppedPaths(records)
	if err != nil {
		return nil, err
	}
	others, err := s.otherWorkspaces(records)
	if err != nil {
		return nil, err
	}
	old, err := s.oldBackups(c, records)
	return slices.Concat(paths, others, old), err
}

// records are those of all workspaces, this one's as it is declared now.
func (s *session) records(c *control, all []declaration) (map[string]record, error) {
	ids, err := c.workspaces()
	if err != nil {
		return nil, err
	}
	records := map[string]record{}
	for _, id := range ids {
		if records[id], err = c.readRecord(id); err != nil {
			return nil, err
		}
	}
	records[s.cfg.Workspace] = records[s.cfg.Workspace].next(all, time.Now())
	return records, nil
}

// declared reports whether a workspace declares a path of the owner, one above
// or one below it.
func declared(records map[string]record, scope Scope, p string, workspace string) bool {
	for id, r := range records {
		if scope == Workspace && id != workspace {
			continue
		}
		for _, have := range r.Paths {
			if have.Dropped.IsZero() && have.Scope == scope && (isWithin(have.Path, p) || isWithin(p, have.Path)) {
				return true
			}
		}
	}
	return false
}

// droppedPaths are paths that were declared, here or, if they are the owner's,
// elsewhere, and are still on the volume.
func (s *session) droppedPaths(records map[string]record) ([]Orphan, error) {
	byPath := map[string]Orphan{}
	for id, r := range records {
		for _, have := range r.Paths {
			if have.Dropped.IsZero() || have.Scope == Workspace && id != s.cfg.Workspace || declared(records, have.Scope, have.Path, id) {
				continue
			}
			o, there, err := s.orphan(path.Join(s.basePath(have.Scope), have.Path))
			if err != nil {
				return nil, err
			}
			if !there || have.Dropped.Before(byPath[o.Path].Since) {
				continue
			}
			o.Source, o.Scope, o.Since, o.dropped = have.Source, have.Scope, have.Dropped, true
			byPath[o.Path] = o
		}
	}
	var all []Orphan
	for _, p := range slices.Sorted(maps.Keys(byPath)) {
		all = append(all, byPath[p])
	}
	return all, nil
}

// orphan looks up what is at a path of the volume.
func (s *session) orphan(p string) (o Orphan, there bool, err error) {
	in, err := s.volume.walk(path.Dir(p))
	if errors.Is(err, fs.ErrNotExist) {
		return o, false, nil
	}
	if err != nil {
		return o, false, err
	}
	defer in.close()
	n := node{in, path.Base(p)}
	e, err := n.stat()
	if err != nil || e.kind == absent {
		return o, false, err
	}
	o = Orphan{Path: p, Dir: e.kind == directory, Since: e.changed}
	o.Bytes, err = n.size()
	return o, true, err
}

// children are the orphans that the parts of a directory of the volume would be.
func (s *session) children(dir string, visit func(name string, o Orphan)) error {
	d, err := s.volume.walk(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.close()
	names, err := d.names()
	for _, name := range names {
		o, there, failed := s.orphan(path.Join(dir, name))
		if there {
			visit(name, o)
		}
		err = errors.Join(err, failed)
	}
	return err
}

func (s *session) otherWorkspaces(records map[string]record) (found []Orphan, err error) {
	err = s.children(workspacesDir, func(id string, o Orphan) {
		if id == s.cfg.Workspace {
			return
		}
		if r, known := records[id]; known {
			o.Since = r.Applied
		}
		o.Scope, o.workspace = Workspace, id
		found = append(found, o)
	})
	return found, err
}

// oldBackups are backups of paths that nobody declares.
func (s *session) oldBackups(c *control, records map[string]record) (found []Orphan, err error) {
	scopes, err := c.walk(backupDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer scopes.close()
	names, err := scopes.names()
	for _, name := range names {
		id, ofWorkspace := strings.CutPrefix(name, "workspace-")
		scope := Owner
		if ofWorkspace {
			scope = Workspace
		}
		err = errors.Join(err, s.children(path.Join(controlDir, backupDir, name), func(escaped string, o Orphan) {
			if o.Scope = scope; !declared(records, scope, unescape(escaped), id) {
				found = append(found, o)
			}
		}))
	}
	return found, err
}

// collect deletes an orphan in one step, so that no half of it stays.
func (s *session) collect(o Orphan) error {
	in, err := s.volume.walk(path.Dir(o.Path))
	if err != nil {
		return err
	}
	defer in.close()
	tmp := s.control.fresh()
	if err := in.rename(path.Base(o.Path), tmp.in, tmp.name, 0); err != nil {
		return err
	}
	err = tmp.remove()
	if o.workspace != "" {
		err = errors.Join(err, s.control.deleteRecord(o.workspace))
	}
	return err
}
