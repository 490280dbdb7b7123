//go:build linux

package home

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Config says where everything is. Paths are absolute.
type Config struct {
	// Home is the user's home; it is required.
	Home string
	// Volume is a mount point; "" means /mnt/home-persist.
	Volume string
	// Manifests is the directory of the manifests; "" means /etc/home-persist.d.
	Manifests string
	// StateDir is where the list of links is kept. It must live and die with
	// the home, so not on the volume. "" means .local/state/home-persist in Home.
	StateDir string
	// Workspace is the id of the workspace; if it is "", paths of scope
	// workspace are skipped.
	Workspace string
	// LockWait is how long to wait for another workspace that works on the
	// volume; 0 means 30 s.
	LockWait time.Duration
	// Log is called for each line, one at a time; nil discards.
	Log func(Line)

	given string          // Home before its links were followed, as manifests may have it
	step  func(op string) // see dir.step
}

// Code is how something ended; it is the exit status of the command.
type Code int

// Codes. When several apply, the largest is the one.
const (
	OK         Code = 0 // all paths are fine
	Partial    Code = 1 // some paths failed, the rest is done
	Invalid    Code = 2 // the configuration, or every manifest, is wrong
	NotMounted Code = 3 // the volume is not mounted
	Locked     Code = 4 // others held the lock all the time: only links were made
	NoRoom     Code = 5 // the volume is full or can only be read
)

// resolve fills in what is not set and checks the rest. Home and Volume become
// paths without links, as the kernel lists mounts.
func (c *Config) resolve() error {
	c.Volume = cmp.Or(c.Volume, "/mnt/home-persist")
	c.Manifests = cmp.Or(c.Manifests, "/etc/home-persist.d")
	c.StateDir = cmp.Or(c.StateDir, filepath.Join(c.Home, ".local/state/home-persist"))
	c.LockWait = cmp.Or(c.LockWait, 30*time.Second)
	for _, p := range [][2]string{{"home", c.Home}, {"volume", c.Volume}, {"manifests", c.Manifests}, {"state directory", c.StateDir}} {
		if !filepath.IsAbs(p[1]) || filepath.Clean(p[1]) == "/" {
			return fmt.Errorf("%s %q: want an absolute path", p[0], p[1])
		}
	}
	var err error
	c.given = filepath.Clean(c.Home)
	if c.Home, err = filepath.EvalSymlinks(c.Home); err != nil {
		return fmt.Errorf("find the home: %w", err)
	}
	if rel, err := filepath.Rel(c.given, c.StateDir); err == nil && filepath.IsLocal(rel) {
		c.StateDir = filepath.Join(c.Home, rel)
	}
	if v, err := filepath.EvalSymlinks(c.Volume); err == nil { // else it is found not to be mounted
		c.Volume = v
	}
	if isWithin(c.Home, c.Volume) {
		return errors.New("the home is on the volume")
	}
	return checkWorkspace(c.Workspace)
}

// stateDir makes the directory of the list of links and opens it.
func (c *Config) stateDir() (*dir, error) {
	if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
		return nil, err
	}
	at, err := filepath.EvalSymlinks(c.StateDir)
	if err == nil && isWithin(at, c.Volume) {
		err = fmt.Errorf("%s is on the volume: it must be thrown away with the home", c.StateDir)
	}
	if err != nil {
		return nil, err
	}
	return openRoot(at, c.step)
}

// declarations returns what the manifests declare and can be. The code is
// Invalid without any good manifest, Partial if something was rejected.
func (c *Config) declarations() ([]declaration, []Line, Code) {
	all, lines, good := readManifests(c.Manifests, c.given)
	if good == 0 {
		return nil, append(lines, Line{Level: Error, Action: Rejected, Detail: "no valid manifest in " + c.Manifests}), Invalid
	}
	drop := func(why func(declaration) (Line, bool)) {
		all = slices.DeleteFunc(all, func(d declaration) bool {
			line, yes := why(d)
			if yes {
				lines = append(lines, line)
			}
			return yes
		})
	}
	drop(c.inTheWay)
	all, dropped := settle(all)
	lines = append(lines, dropped...)
	drop(c.ofNoWorkspace)
	if slices.ContainsFunc(lines, func(l Line) bool { return l.Level == Error }) {
		return all, lines, Partial
	}
	return all, lines, OK
}

// inTheWay finds what cannot be because of where things are here.
func (c *Config) inTheWay(d declaration) (Line, bool) {
	at := filepath.Join(c.Home, d.path)
	switch {
	case isWithin(c.StateDir, at) || isWithin(at, c.StateDir):
		return d.line(Error, Rejected, "the list of links is there, which is thrown away with the home"), true
	case isWithin(c.Volume, at) || isWithin(at, c.Volume):
		return d.line(Error, Rejected, "the volume is there"), true
	}
	return Line{}, false
}

// ofNoWorkspace finds what has no place as long as the workspace has no id.
func (c *Config) ofNoWorkspace(d declaration) (Line, bool) {
	return d.line(Warn, Skipped, "the id of the workspace is not known"), d.scope == Workspace && c.Workspace == ""
}

// base is where paths of a scope are on the volume.
func (c *Config) base(s Scope) string {
	if s == Workspace {
		return filepath.Join(c.Volume, workspacesDir, c.Workspace)
	}
	return c.Volume
}

// target is what the link of d says.
func (c *Config) target(d declaration) string { return filepath.Join(c.base(d.scope), d.path) }
