//go:build linux

package home

import (
	"maps"
	"path"
	"slices"
)

// settle decides between declarations that are in each other's way: of the same
// path twice the first counts, and what is below a directory that is persisted
// goes there anyway. It returns those that count by their paths, which is
// parents first.
func settle(all []declaration) (settled []declaration, lines []Line) {
	byPath := map[string]declaration{}
	for _, d := range all {
		if first, twice := byPath[d.path]; twice {
			lines = append(lines, d.line(Info, Skipped, "declared by "+first.source+" already"))
			continue
		}
		byPath[d.path] = d
	}
	for _, name := range slices.Sorted(maps.Keys(byPath)) {
		d := byPath[name]
		if line, drop := covered(d, byPath); drop {
			lines = append(lines, line)
			delete(byPath, name)
			continue
		}
		settled = append(settled, d)
	}
	return settled, lines
}

// covered looks for the declaration above d, and says why d goes if there is
// one. A link below one of another scope would be in the other's store.
func covered(d declaration, byPath map[string]declaration) (Line, bool) {
	for up := path.Dir(d.path); up != "."; up = path.Dir(up) {
		above, is := byPath[up]
		switch {
		case !is:
			continue
		case !above.dir:
			return d.line(Error, Rejected, up+" of "+above.source+" is a file"), true
		case above.scope != d.scope:
			return d.line(Error, Rejected, "is below "+up+"/ of "+above.source+", whose scope is "+string(above.scope)), true
		default:
			return d.line(Info, Skipped, "is part of "+up+"/ of "+above.source), true
		}
	}
	return Line{}, false
}
