package sshconfig

import (
	"fmt"
	"regexp"
	"strings"
)

// plain are words that every shell takes as they are.
var plain = regexp.MustCompile(`^[A-Za-z0-9_@+=:,./-]+$`)

// command makes a ProxyCommand of words: ssh replaces percent signs in it and
// has the rest run by the user's shell, whichever that is, or, on Windows, by
// CreateProcess. It ends with the host.
func command(words []string, windows bool) (string, error) {
	quote, host := quotePOSIX, "'%h'" // quoted, for versions before 9.6 take any text as a host
	if windows {
		quote, host = quoteWindows, `"%h"`
	}
	out := make([]string, len(words))
	for i, word := range words {
		text, err := quote(word)
		if err != nil {
			return "", err
		}
		out[i] = strings.ReplaceAll(text, "%", "%%")
	}
	return strings.Join(append(out, host), " "), nil
}

// quotePOSIX quotes for sh and its like, and for csh and fish too, in as far as
// the word has neither an exclamation mark nor backslashes in a row.
func quotePOSIX(word string) (string, error) {
	if hasControl(word) {
		return "", fmt.Errorf("%q has control characters, which no SSH configuration can hold", word)
	}
	if plain.MatchString(word) {
		return word, nil
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'", nil
}

// quoteWindows quotes as programs of Windows take their command line apart.
func quoteWindows(word string) (string, error) {
	if hasControl(word) {
		return "", fmt.Errorf("%q has control characters, which no SSH configuration can hold", word)
	}
	if plain.MatchString(strings.ReplaceAll(word, `\`, "/")) {
		return word, nil
	}
	var b strings.Builder
	b.WriteByte('"')
	slashes := 0 // backslashes count double before a quote, and only there
	for _, c := range []byte(word) {
		switch c {
		case '\\':
			slashes++
		case '"':
			b.WriteString(strings.Repeat(`\`, slashes+1))
			slashes = 0
		default:
			slashes = 0
		}
		b.WriteByte(c)
	}
	b.WriteString(strings.Repeat(`\`, slashes) + `"`)
	return b.String(), nil
}
