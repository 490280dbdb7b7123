//go:build linux

package home

import (
	"strconv"
	"strings"
	"unicode"
)

// Level says how bad a Line is.
type Level string

// Levels of lines.
const (
	Info  Level = "info"
	Warn  Level = "warn"
	Error Level = "error"
)

// Action says what a Line tells.
type Action string

// Actions of lines. Summary ends what was done for all paths.
const (
	Linked   Action = "linked"   // the path is a link now
	Seeded   Action = "seeded"   // the volume got what was in the home
	Kept     Action = "kept"     // the volume had the path already, and that counts
	Merged   Action = "merged"   // the volume got what it was missing
	Folded   Action = "folded"   // the volume got the file that took the place of a link
	BackedUp Action = "backup"   // something was put into the backups
	Skipped  Action = "skipped"  // nothing was done, and that is no error
	Foreign  Action = "foreign"  // the path is a link to somewhere else, which stays
	Rejected Action = "rejected" // a manifest, or a path in it, cannot be
	Failed   Action = "error"
	Summary  Action = "summary"
)

// Line is one line of the log.
type Line struct {
	Level  Level
	Action Action
	Path   string // relative to the home; "" when it is about no single path
	Source string
	Scope  Scope
	Detail string
}

// String is the line as it is printed.
func (l Line) String() string {
	var b strings.Builder
	b.WriteString("home-persist: " + string(l.Level) + " " + string(l.Action))
	for _, field := range [][2]string{{"path", l.Path}, {"source", l.Source}, {"scope", string(l.Scope)}, {"detail", l.Detail}} {
		if field[1] != "" {
			b.WriteString(" " + field[0] + "=" + quoted(field[1]))
		}
	}
	return b.String()
}

// quoted is a value that cannot be taken for more than one, or for another line.
func quoted(value string) string {
	odd := func(r rune) bool { return r == ' ' || r == '"' || r == '=' || !unicode.IsPrint(r) }
	if strings.ContainsFunc(value, odd) {
		return strconv.Quote(value)
	}
	return value
}
