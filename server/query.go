package server

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxQuery bounds a search in bytes.
const maxQuery = 2 << 10

// parseQuery reads a search: parts split at blanks, double quotes keep blanks
// and colons together, a part is key:value, and a word without a colon is the
// value of bare. Everything is lower-cased. A key that is neither bare nor in
// known, is there twice or has a second colon is refused; - and _ are the same in
// it. What is known as param may be there for each name in param:name=value, and
// becomes the key param:name with the value =value, or none.
func parseQuery(text, bare string, known ...string) (map[string]string, error) {
	if len(text) > maxQuery {
		return nil, badQuery("is longer than %d bytes", maxQuery)
	}
	if strings.Count(text, `"`)%2 != 0 {
		return nil, badQuery("has a quote that does not end")
	}
	terms := map[string]string{}
	for _, part := range splitUnquoted(strings.ToLower(text), unicode.IsSpace) {
		if part == "" {
			continue
		}
		key, value, err := queryTerm(part, bare)
		if err != nil {
			return nil, err
		}
		if key != bare {
			i := slices.IndexFunc(known, func(k string) bool { return underscored(k) == underscored(key) })
			if i < 0 {
				return nil, badQuery("has %q, which is nothing to search by", key)
			}
			key = known[i]
		}
		if key == "param" {
			name, _, _ := strings.Cut(value, "=")
			key, value = "param:"+name, strings.TrimPrefix(value, name)
		}
		if _, twice := terms[key]; twice {
			return nil, badQuery("has %q twice", key)
		}
		terms[key] = value
	}
	return terms, nil
}

func underscored(key string) string { return strings.ReplaceAll(key, "-", "_") }

// queryTerm reads one part of a search.
func queryTerm(part, bare string) (key, value string, err error) {
	pieces := splitUnquoted(part, func(c rune) bool { return c == ':' })
	for i := range pieces {
		pieces[i] = strings.ReplaceAll(pieces[i], `"`, "")
	}
	switch {
	case len(pieces) == 1:
		return bare, pieces[0], nil
	case len(pieces) > 2:
		return "", "", badQuery("has a second colon in %q", part)
	case pieces[0] == "" || pieces[1] == "":
		return "", "", badQuery("has %q without a key or a value", part)
	}
	return pieces[0], pieces[1], nil
}

// splitUnquoted splits at separators that are not between double quotes.
func splitUnquoted(text string, separates func(rune) bool) (parts []string) {
	quoted, begin := false, 0
	for i, c := range text {
		if c == '"' {
			quoted = !quoted
		}
		if !quoted && separates(c) {
			parts = append(parts, text[begin:i])
			begin = i + utf8.RuneLen(c)
		}
	}
	return append(parts, text[begin:])
}

// boolTerm is nil if there is no such term.
func boolTerm(terms map[string]string, key string) (*bool, error) {
	text, given := terms[key]
	if !given {
		return nil, nil
	}
	b, err := strconv.ParseBool(text)
	if err != nil {
		return nil, badQuery("wants true or false for %q", key)
	}
	return &b, nil
}

// timeTerm is zero if there is no such term.
func timeTerm(terms map[string]string, key string) (time.Time, error) {
	text, given := terms[key]
	if !given {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, strings.ToUpper(text))
	if err != nil {
		return t, badQuery(`wants a time like "2026-11-27T09:30:00Z" for %q`, key)
	}
	return t, nil
}

func badQuery(format string, args ...any) error {
	return invalid("q", "The search "+printable(fmt.Sprintf(format, args...), 200)+".")
}
