package server

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// maxQuery bounds a search in bytes.
const maxQuery = 2 << 10

// parseQuery reads a search: parts split at blanks, double quotes keep blanks
// together, a part is key:value, and a word without a colon is the value of
// bare. Everything is lower-cased. A key that is not in known, is there twice
// or has a second colon is refused.
func parseQuery(text, bare string, known ...string) (map[string]string, error) {
	terms := map[string]string{}
	if len(text) > maxQuery {
		return nil, badQuery("is longer than %d bytes", maxQuery)
	}
	parts, err := splitQuery(strings.ToLower(text))
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		key, value := part.key, part.value
		switch {
		case !part.keyed:
			key = bare
		case !slices.Contains(known, key) && key != bare:
			return nil, badQuery("%q is not something to search by", key)
		}
		if _, twice := terms[key]; twice {
			return nil, badQuery("%q is given twice", key)
		}
		terms[key] = value
	}
	return terms, nil
}

func badQuery(format string, args ...any) error {
	return invalid("q", "The search "+printable(fmt.Sprintf(format, args...), 200)+".")
}

// queryPart is one part of a search.
type queryPart struct {
	key, value string
	keyed      bool
}

// splitQuery splits at blanks and colons outside of quotes.
func splitQuery(text string) (parts []queryPart, err error) {
	var word strings.Builder
	var part queryPart
	quoted, begun := false, false
	flush := func() error {
		if !begun {
			return nil
		}
		part.value = word.String()
		if part.keyed && (part.key == "" || part.value == "") {
			return badQuery("has %q without a key or a value", part.key+":"+part.value)
		}
		parts = append(parts, part)
		word.Reset()
		part, begun = queryPart{}, false
		return nil
	}
	for _, c := range text {
		switch {
		case c == '"':
			quoted, begun = !quoted, true
		case !quoted && unicode.IsSpace(c):
			if err := flush(); err != nil {
				return nil, err
			}
		case !quoted && c == ':':
			if part.keyed {
				return nil, badQuery("has a second colon in %q", part.key)
			}
			part.key, part.keyed, begun = word.String(), true, true
			word.Reset()
		default:
			begun = true
			word.WriteRune(c)
		}
	}
	if quoted {
		return nil, badQuery("has a quote that does not end")
	}
	return parts, flush()
}
