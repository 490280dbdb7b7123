package script

import (
	"slices"
	"strings"
)

// plan is in which order scripts run.
type plan struct {
	after   [][]int        // for each script those that it waits for
	unknown map[int]string // names that are of no other script
	circle  []bool         // for each script whether it waits for itself in the end
}

// newPlan reads what each script waits for.
func newPlan(scripts []Script) plan {
	p := plan{after: make([][]int, len(scripts)), unknown: map[int]string{}, circle: make([]bool, len(scripts))}
	for i, s := range scripts {
		for _, name := range waitsFor(s.Text) {
			before := named(scripts, name)
			if len(before) == 0 {
				p.unknown[i] = name
			}
			p.after[i] = append(p.after[i], before...)
		}
	}
	for i := range scripts {
		p.circle[i] = p.reaches(i, i, make([]bool, len(scripts)))
	}
	return p
}

// named are the scripts of a name: nothing keeps two from having the same.
func named(scripts []Script, name string) (found []int) {
	for i, s := range scripts {
		if strings.EqualFold(strings.TrimSpace(s.Name), name) {
			found = append(found, i)
		}
	}
	return found
}

// reaches reports whether from waits for to, directly or not.
func (p plan) reaches(from, to int, seen []bool) bool {
	if slices.Contains(p.after[from], to) {
		return true
	}
	for _, next := range p.after[from] {
		if !seen[next] {
			seen[next] = true
			if p.reaches(next, to, seen) {
				return true
			}
		}
	}
	return false
}

// waitsFor returns the names in the leading comments of a script.
func waitsFor(text string) (names []string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		comment, is := strings.CutPrefix(line, "#")
		if !is && line != "" {
			break
		}
		if name, is := strings.CutPrefix(strings.TrimSpace(comment), "coder:after "); is {
			if name = strings.TrimSpace(name); name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}
