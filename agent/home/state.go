//go:build linux

package home

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"
)

// linksFile is the list of links in the state directory. A real file at a path
// that is in it took the place of a link, so it is what some program saved; at
// another path it came with the image.
const linksFile = "links.json"

// links is the list of paths that are links of ours, or were.
type links struct {
	at    *dir
	paths map[string]bool
}

type linksJSON struct {
	Version int      `json:"version"`
	Links   []string `json:"links"`
}

// readLinks reads the list; one that cannot be read is empty, which never makes
// the home's files count more than the volume's.
func readLinks(at *dir) (*links, error) {
	l := &links{at: at, paths: map[string]bool{}}
	raw, err := at.readFile(linksFile)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	var list linksJSON
	if err == nil {
		err = json.Unmarshal(raw, &list)
	}
	for _, p := range list.Links {
		l.paths[p] = true
	}
	if err != nil {
		return l, fmt.Errorf("list of links: %w", err)
	}
	return l, nil
}

// add notes that a path is a link; only after it became one.
func (l *links) add(path string) error {
	if l.paths[path] {
		return nil
	}
	l.paths[path] = true
	return l.write()
}

func (l *links) remove(path string) error {
	delete(l.paths, path)
	return l.write()
}

func (l *links) write() error {
	return l.at.writeJSON(linksFile, linksJSON{Version: 1, Links: slices.Sorted(maps.Keys(l.paths))})
}

func (d *dir) writeJSON(name string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return d.writeFile(name, append(raw, '\n'))
}

// record is what the volume knows of a workspace.
type record struct {
	Version int       `json:"version"`
	Applied time.Time `json:"applied"` // when paths were last applied there

	// Paths are those that the workspace declares, and those that it once did
	// and that are still there.
	Paths []recorded `json:"paths"`
}

type recorded struct {
	Path   string `json:"path"`
	Dir    bool   `json:"dir"`
	Scope  Scope  `json:"scope"`
	Source string `json:"source"`

	// Dropped is when it was first not declared any more; zero if it is.
	Dropped time.Time `json:"dropped,omitzero"`
}

func (r recorded) declaration() declaration {
	return declaration{path: r.Path, dir: r.Dir, scope: r.Scope, source: r.Source}
}

// recordName is the file of a workspace; one without an id has one too.
func recordName(workspace string) string {
	if workspace == "" {
		workspace = "_"
	}
	return workspace + ".json"
}

// readRecord reads what is known of a workspace; the zero record if nothing is.
func (c *control) readRecord(workspace string) (record, error) {
	var r record
	raw, err := c.inState(func(d *dir) ([]byte, error) { return d.readFile(recordName(workspace)) })
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &r)
	}
	if err != nil {
		return record{}, fmt.Errorf("record of workspace %s: %w", workspace, err)
	}
	return r, nil
}

func (c *control) writeRecord(workspace string, r record) error {
	d, err := c.make("state", 0o700)
	if err != nil {
		return err
	}
	defer d.close()
	r.Version = 1
	return d.writeJSON(recordName(workspace), r)
}

func (c *control) deleteRecord(workspace string) error {
	d, err := c.sub("state")
	if err == nil {
		defer d.close()
		err = d.unlink(recordName(workspace))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (c *control) inState(do func(d *dir) ([]byte, error)) ([]byte, error) {
	d, err := c.sub("state")
	if err != nil {
		return nil, err
	}
	defer d.close()
	return do(d)
}

// workspaces are those of which something is known; "" is that without an id.
func (c *control) workspaces() ([]string, error) {
	d, err := c.sub("state")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.close()
	names, err := d.names()
	var all []string
	for _, name := range names {
		id, is := strings.CutSuffix(name, ".json")
		switch {
		case id == "_":
			all = append(all, "")
		case is && checkWorkspace(id) == nil:
			all = append(all, id)
		}
	}
	return all, err
}

// next is the record after declared were applied.
func (r record) next(declared []declaration, now time.Time) record {
	next := record{Applied: now}
	is := map[string]bool{}
	for _, d := range declared {
		is[string(d.scope)+" "+d.path] = true
		next.Paths = append(next.Paths, recorded{Path: d.path, Dir: d.dir, Scope: d.scope, Source: d.source})
	}
	for _, old := range r.Paths {
		if is[string(old.Scope)+" "+old.Path] {
			continue
		}
		if old.Dropped.IsZero() {
			old.Dropped = now
		}
		next.Paths = append(next.Paths, old)
	}
	return next
}
