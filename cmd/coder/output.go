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

// format is what -o and -c of a command that lists say. What depends on T is
// small: there is a copy of it for each T in the program.
type format[T any] struct {
	columns []column[T]
	output  string
	chosen  []string
}

// header is what there is to know of a column without its values.
type header struct {
	name   string
	hidden bool
}

func (f *format[T]) headers() (list []header) {
	for _, c := range f.columns {
		list = append(list, header{c.name, c.hidden})
	}
	return list
}

// register adds -o and -c.
func (f *format[T]) register(cmd *cobra.Command) {
	registerFormat(cmd, &f.output, &f.chosen, f.headers())
}

// print writes rows as the flags ask; as, if not nil, is what JSON shows
// instead of the rows.
func (f *format[T]) print(w io.Writer, rows []T, as any) error {
	if as == nil {
		as = append([]T{}, rows...) // [] for none
	}
	value := func(row, column int) string { return f.columns[column].value(rows[row]) }
	return printFormat(w, f.output, as, func() error { return printColumns(w, f.headers(), f.chosen, len(rows), value) })
}

func registerFormat(cmd *cobra.Command, output *string, chosen *[]string, columns []header) {
	var shown []string
	for _, c := range columns {
		if !c.hidden {
			shown = append(shown, c.name)
		}
	}
	cmd.Flags().StringVarP(output, "output", "o", "table", "output `format`: table or json")
	cmd.Flags().StringSliceVarP(chosen, "column", "c", shown, "`columns` of the table; there are: "+nameAll(columns))
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		_, err := pickColumns(columns, *chosen)
		if usual := cmd.Flags().Lookup("output").DefValue; err == nil && *output != usual {
			if err = checkFormat(*output); err != nil && usual != "table" {
				err = fmt.Errorf("unknown output format %q, want %s, table or json", *output, usual)
			}
		}
		return err
	}
}

func checkFormat(output string) error {
	if output != "table" && output != "json" {
		return fmt.Errorf("unknown output format %q, want table or json", output)
	}
	return nil
}

func printFormat(w io.Writer, output string, as any, table func() error) error {
	if output == "json" {
		return printJSON(w, as)
	}
	return table()
}

// printColumns writes a table of the chosen columns; value is that of a row and
// of a column by its place in headers.
func printColumns(w io.Writer, headers []header, chosen []string, rows int, value func(row, column int) string) error {
	columns, err := pickColumns(headers, chosen)
	if err != nil {
		return err
	}
	lines := make([][]string, rows+1)
	for _, c := range columns {
		lines[0] = append(lines[0], strings.ToUpper(headers[c].name))
		for row := range rows {
			lines[row+1] = append(lines[row+1], printable(value(row, c)))
		}
	}
	return printTable(w, lines)
}

// pickColumns returns the places of the chosen columns.
func pickColumns(headers []header, chosen []string) (places []int, err error) {
	for _, name := range chosen {
		i := slices.IndexFunc(headers, func(h header) bool { return strings.EqualFold(h.name, strings.TrimSpace(name)) })
		if i < 0 {
			return nil, withHint(fmt.Errorf("unknown column %q", name), "the columns: "+nameAll(headers))
		}
		places = append(places, i)
	}
	if len(places) == 0 {
		return nil, errors.New("--column: no columns given")
	}
	return places, nil
}

func nameAll(headers []header) string {
	var names []string
	for _, h := range headers {
		names = append(names, h.name)
	}
	return strings.Join(names, ", ")
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

// printableLines is printable for a text of several lines.
func printableLines(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
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
