//go:build linux

package home

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Bounds of manifests: the largest ones seen have a dozen paths.
const (
	maxManifest = 1 << 20 // bytes
	maxPaths    = 1000    // of all manifests
)

// userManifest has the paths that the user adds to those of the image. It is
// read last, so that an image's words on a path count.
const userManifest = "user.json"

// Scope says who shares what a path has on the volume.
type Scope string

// Scopes of paths.
const (
	Owner     Scope = "owner"     // all workspaces of the owner
	Workspace Scope = "workspace" // one workspace
)

// declaration is one path of a manifest.
type declaration struct {
	path   string // relative to the home
	dir    bool   // a directory, else a file
	scope  Scope
	source string
	mode   fs.FileMode // of a directory that is made
	noSeed bool        // the volume does not get what is in the home
	merge  bool        // the volume gets what it is missing
}

// line is a line about the path.
func (d declaration) line(level Level, action Action, detail string) Line {
	return Line{Level: level, Action: action, Path: d.path, Source: d.source, Scope: d.scope, Detail: detail}
}

// manifest is a file that declares paths. Its paths are strings or pathObjects.
type manifest struct {
	source string
	scope  Scope
	paths  []json.RawMessage
}

// pathObject is a path with more to say than its name.
type pathObject struct {
	path, kind, mode, seed, conflict string
}

// parser reads one manifest. What is wrong with it goes into lines.
type parser struct {
	name  string // of the manifest
	home  string // absolute
	lines []Line
}

func (p *parser) say(level Level, action Action, source, path, detail string) {
	p.lines = append(p.lines, Line{Level: level, Action: action, Source: source, Path: path, Detail: detail})
}

// parse returns the paths of a manifest that are good. An error says that the
// whole of it is not.
func (p *parser) parse(raw []byte) ([]declaration, error) {
	m, err := p.head(raw)
	if err != nil {
		return nil, err
	}
	if len(m.paths) > maxPaths {
		return nil, fmt.Errorf("has %d paths, more than %d", len(m.paths), maxPaths)
	}
	var all []declaration
	for _, raw := range m.paths {
		name, d, err := p.path(m, raw)
		if err != nil {
			p.say(Error, Rejected, m.source, name, err.Error())
			continue
		}
		all = append(all, d)
	}
	return all, nil
}

// head reads all of a manifest but its paths.
func (p *parser) head(raw []byte) (manifest, error) {
	m := manifest{source: strings.TrimSuffix(p.name, ".json"), scope: Owner}
	var (
		version = 1
		scope   = string(Owner)
	)
	err := p.object(raw, m.source, map[string]any{"version": &version, "source": &m.source, "scope": &scope, "paths": &m.paths})
	switch m.scope = Scope(scope); {
	case err != nil:
		return m, err
	case version != 1:
		return m, fmt.Errorf("version %d: want 1", version)
	case m.scope != Owner && m.scope != Workspace:
		return m, fmt.Errorf("scope %q: want owner or workspace", scope)
	case m.paths == nil:
		return m, errors.New("has no paths")
	}
	return m, nil
}

// object decodes a JSON object by the exact names of its keys, and warns of
// others.
func (p *parser) object(raw []byte, source string, into map[string]any) error {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil {
		return fmt.Errorf("not a JSON object: %w", err)
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		where, known := into[key]
		if !known {
			p.say(Warn, Skipped, source, "", fmt.Sprintf("unknown key %q", key))
			continue
		}
		if err := json.Unmarshal(keys[key], where); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// path reads one path, whose name it returns also with an error.
func (p *parser) path(m manifest, raw []byte) (name string, d declaration, err error) {
	o := pathObject{seed: "copy", conflict: "volume"}
	if json.Unmarshal(raw, &o.path) != nil {
		err = p.object(raw, m.source, map[string]any{"path": &o.path, "type": &o.kind, "mode": &o.mode, "seed": &o.seed, "conflict": &o.conflict})
		if err != nil {
			return string(raw), d, err
		}
	}
	d, err = o.declaration(p.home)
	d.source, d.scope = m.source, m.scope
	return o.path, d, err
}

func (o pathObject) declaration(home string) (declaration, error) {
	path, slash, err := cleanPath(o.path, home)
	d := declaration{path: path, dir: slash, mode: 0o700, noSeed: o.seed == "none", merge: o.conflict == "merge"}
	switch o.kind {
	case "":
	case "dir":
		d.dir = true
	case "file":
		if d.dir = false; slash {
			err = errors.Join(err, errors.New("is a file with the slash of a directory"))
		}
	default:
		err = errors.Join(err, fmt.Errorf("type %q: want dir or file", o.kind))
	}
	if o.seed != "copy" && o.seed != "none" {
		err = errors.Join(err, fmt.Errorf("seed %q: want copy or none", o.seed))
	}
	if o.conflict != "volume" && o.conflict != "merge" {
		err = errors.Join(err, fmt.Errorf("conflict %q: want volume or merge", o.conflict))
	}
	if (o.mode != "" || d.merge) && !d.dir {
		err = errors.Join(err, errors.New("is a file: mode and merge are for directories"))
	}
	if o.mode != "" {
		mode, wrong := strconv.ParseUint(o.mode, 8, 32)
		if wrong != nil || mode > 0o777 || mode&0o700 != 0o700 {
			err = errors.Join(err, fmt.Errorf("mode %q: want an octal number whose owner may do all, like 0750", o.mode))
		}
		d.mode = fs.FileMode(mode)
	}
	return d, err
}

// Check says what is wrong with a manifest, for those who build images, and
// what of its paths in home nobody but root could copy. home may be missing.
// The code is Invalid if the manifest cannot be read, Partial if some of it
// would not work.
func Check(file, home string) ([]Line, Code) {
	p := &parser{name: filepath.Base(file), home: home}
	all, err := p.read(file)
	if err != nil {
		return append(p.lines, Line{Level: Error, Action: Rejected, Source: file, Detail: err.Error()}), Invalid
	}
	_, dropped := settle(all)
	lines := append(p.lines, dropped...)
	lines = append(lines, notOwned(all, home)...)
	if slices.ContainsFunc(lines, func(l Line) bool { return l.Level == Error }) {
		return lines, Partial
	}
	return lines, OK
}

func (p *parser) read(file string) ([]declaration, error) {
	if st, err := os.Stat(file); err == nil && st.Size() > maxManifest {
		return nil, fmt.Errorf("is larger than %d bytes", maxManifest)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return p.parse(raw)
}

// readManifests returns the paths of all manifests in a directory, in the order
// in which they count, and how many manifests are good.
func readManifests(dir, home string) (all []declaration, lines []Line, good int) {
	entries, err := os.ReadDir(dir) // sorted by bytes
	if err != nil {
		return nil, []Line{{Level: Error, Action: Rejected, Detail: err.Error()}}, 0
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".json") && name != userManifest {
			names = append(names, name)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, userManifest)); err == nil {
		names = append(names, userManifest)
	}
	for _, name := range names {
		p := &parser{name: name, home: home}
		paths, err := p.read(filepath.Join(dir, name))
		if err != nil {
			p.say(Error, Rejected, name, "", err.Error())
		} else {
			good++
		}
		all, lines = append(all, paths...), append(lines, p.lines...)
	}
	if len(all) > maxPaths {
		lines = append(lines, Line{Level: Error, Action: Rejected, Detail: fmt.Sprintf("%d paths: those after the first %d do not count", len(all), maxPaths)})
		all = all[:maxPaths]
	}
	return all, lines, good
}
