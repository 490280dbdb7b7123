package sshconfig

import (
	"bytes"
	"fmt"
)

// The lines around the section.
const (
	startMarker = "# ------------START-CODER-----------"
	endMarker   = "# ------------END-CODER------------"
)

// MarkerError says that a file has markers which do not enclose one section.
type MarkerError struct {
	Line    int // counted from 1
	Problem string
}

func (e *MarkerError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Problem) }

// span is where a section is: from the first byte of its first marker to the
// first byte after the line of its last. An end of 0 is no section.
type span struct{ start, end int }

// find looks for the section. Its error is a *MarkerError.
func find(text []byte) (span, error) {
	var s span
	at, number, opened := 0, 0, 0
	for line := range bytes.Lines(text) {
		number++
		switch string(bytes.TrimSpace(line)) {
		case startMarker:
			switch {
			case opened > 0:
				return span{}, &MarkerError{number, fmt.Sprintf("%q again, before the end of the section of line %d", startMarker, opened)}
			case s.end > 0:
				return span{}, &MarkerError{number, fmt.Sprintf("%q begins a second section", startMarker)}
			}
			opened, s.start = number, at
		case endMarker:
			if opened == 0 {
				return span{}, &MarkerError{number, fmt.Sprintf("%q without a start", endMarker)}
			}
			opened, s.end = 0, at+len(line)
		}
		at += len(line)
	}
	if opened > 0 {
		return span{}, &MarkerError{opened, fmt.Sprintf("%q without an end", startMarker)}
	}
	return s, nil
}

// Section returns the section of a file with its markers, and nil when it has
// none. The error is a *MarkerError.
func Section(text []byte) ([]byte, error) {
	s, err := find(text)
	if err != nil || s.end == 0 {
		return nil, err
	}
	return text[s.start:s.end], nil
}

// Set returns the file with body, lines that end in LF, as its section: in place
// of the section that it has, or else after all that it has. The error is a
// *MarkerError.
func Set(text []byte, body string) ([]byte, error) {
	s, err := find(text)
	if err != nil {
		return nil, err
	}
	eol := lineEnd(text)
	section := bytes.ReplaceAll([]byte(startMarker+"\n"+body+endMarker+"\n"), []byte("\n"), eol)
	if s.end > 0 {
		return bytes.Join([][]byte{text[:s.start], section, text[s.end:]}, nil), nil
	}
	if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		return bytes.Join([][]byte{text, eol, section}, nil), nil
	}
	return bytes.Join([][]byte{text, section}, nil), nil
}

// Remove returns the file without its section. The error is a *MarkerError.
func Remove(text []byte) ([]byte, error) {
	s, err := find(text)
	if err != nil {
		return nil, err
	}
	return bytes.Join([][]byte{text[:s.start], text[s.end:]}, nil), nil
}

// lineEnd is how the first line of text ends.
func lineEnd(text []byte) []byte {
	first, _, _ := bytes.Cut(text, []byte("\n"))
	if bytes.HasSuffix(first, []byte("\r")) {
		return []byte("\r\n")
	}
	return []byte("\n")
}
