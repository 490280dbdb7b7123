package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// column is one column of a table of T.
type column[T any] struct {
	name   string
	value  func(T) string
	hidden bool // shown only when --column asks for it
}

// format is what -o and -c of a command that lists say.
type format[T any] struct {
	columns []column[T]
	output  string
	chosen  []string
}

// register adds -o and -c.
func (f *format[T]) register(cmd *cobra.Command) {
	var names, shown []string
	for _, c := range f.columns {
		names = append(names, c.name)
		if !c.hidden {
			shown = append(shown, c.name)
		}
	}
	cmd.Flags().StringVarP(&f.output, "output", "o", "table", "output `format`: table or json")
	cmd.Flags().StringSliceVarP(&f.chosen, "column", "c", shown, "`columns` of the table; there are: "+strings.Join(names, ", "))
}

// print writes rows as the flags ask; as, if not nil, is what JSON shows
// instead of the rows.
func (f *format[T]) print(w io.Writer, rows []T, as any) error {
	switch f.output {
	case "json":
		if as == nil {
			as = append([]T{}, rows...) // [] for none
		}
		return printJSON(w, as)
	case "table":
		return f.table(w, rows)
	}
	return fmt.Errorf("unknown output format %q, want table or json", f.output)
}

func (f *format[T]) table(w io.Writer, rows []T) error {
	columns, err := f.pick()
	if err != nil {
		return err
	}
	lines := make([][]string, len(rows)+1)
	for _, c := range columns {
		lines[0] = append(lines[0], strings.ToUpper(c.name))
		for i, row := range rows {
			lines[i+1] = append(lines[i+1], printable(c.value(row)))
		}
	}
	return printTable(w, lines)
}

func (f *format[T]) pick() ([]column[T], error) {
	var out []column[T]
	for _, name := range f.chosen {
		i := slices.IndexFunc(f.columns, func(c column[T]) bool { return strings.EqualFold(c.name, strings.TrimSpace(name)) })
		if i < 0 {
			return nil, fmt.Errorf("unknown column %q", name)
		}
		out = append(out, f.columns[i])
	}
	if len(out) == 0 {
		return nil, errors.New("no columns given")
	}
	return out, nil
}

// printTable aligns the cells, two blanks between columns.
func printTable(w io.Writer, lines [][]string) error {
	widths := make([]int, len(lines[0]))
	for _, cells := range lines {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, cells := range lines {
		var line strings.Builder
		for i, cell := range cells {
			fmt.Fprintf(&line, "%-*s  ", widths[i], cell)
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// printable makes text from the server safe on a terminal: one line without
// control characters.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// ago tells how long since t as people say it; "never" for no time.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	if d := now.Sub(t); d >= time.Second {
		return length(d) + " ago"
	}
	return "now"
}

// length is d to its largest unit.
func length(d time.Duration) string {
	for _, u := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d >= u.size {
			return fmt.Sprintf("%d%s", d/u.size, u.name)
		}
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// until is when t will be, and "-" for never.
func until(t *time.Time, now time.Time) string {
	if t == nil || t.IsZero() {
		return "-"
	}
	if d := t.Sub(now); d > 0 {
		return "in " + length(d)
	}
	return ago(*t, now)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
