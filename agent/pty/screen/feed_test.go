package screen

import (
	"fmt"
	"strings"
	"testing"
)

// spans describes what Feed returned: pieces, questions in brackets.
func spans(s *Screen, pieces ...string) string {
	var out []string
	for _, piece := range pieces {
		for _, span := range s.Feed([]byte(piece)) {
			if span.Query {
				out = append(out, fmt.Sprintf("[%s -> %s]", span.Data, span.Reply))
			} else {
				out = append(out, string(span.Data))
			}
		}
	}
	return strings.ReplaceAll(strings.Join(out, "|"), "\x1b", "^")
}

func TestSpans(t *testing.T) {
	for _, test := range []struct {
		name   string
		pieces []string
		want   string
	}{
		{"text", []string{"hello"}, "hello"},
		{"sequence in one piece", []string{"a\x1b[1mb"}, "a^[1mb"},
		{"sequence in two", []string{"a\x1b[1", "mb"}, "a|^[1mb"},
		{"sequence in many", []string{"a\x1b", "[", "1", "m", "b"}, "a|^[1m|b"},
		{"character in two", []string{"a\xe2\x9c", "\x85b"}, "a|✅b"},
		{"broken character", []string{"a\xe2\x9c", "b"}, "a|\xe2\x9cb"},
		{"question", []string{"a\x1b[6nb"}, "a|[^[6n -> ^[1;2R]|b"},
		{"question in two", []string{"a\x1b[6", "nb"}, "a|[^[6n -> ^[1;2R]|b"},
		{"question ended by BEL", []string{"\x1b]11;?\ab"}, "[^]11;?\a -> ^]11;rgb:0000/0000/0000^\\]|b"},
		{"question ended by ST", []string{"\x1b]11;?\x1b", "\\b"}, "[^]11;?^\\ -> ^]11;rgb:0000/0000/0000^\\]|b"},
		{"question ended by another", []string{"\x1b]11;?\x1b[6nb"}, "[^]11;? -> ^]11;rgb:0000/0000/0000^\\]|[^[6n -> ^[1;1R]|b"},
		{"question in a DCS", []string{"\x1bP$qr\x1b\\"}, "[^P$qr^\\ -> ^P1$r1;6r^\\]"},
		{"device attributes", []string{"\x1b[c\x1b[>0c"}, "[^[c -> ^[?62;22c]|[^[>0c -> ^[>1;276;0c]"},
		{"mode", []string{"\x1b[?7$p"}, "[^[?7$p -> ^[?7;1$y]"},
		{"pen", []string{"\x1b[1;31m", "\x1bP$qm\x1b\\"}, "^[1;31m|[^P$qm^\\ -> ^P1$r0;1;31m^\\]"},
		{"control inside a sequence", []string{"a\x1b[1\n", "mb"}, "a|^\\\n|^[1mb"},
		{"sequence cut short by another", []string{"\x1b[1\x1b[2", "mb"}, "^[1|^[2mb"},
		{"nobody answers", []string{"\x1b[14t"}, "[^[14t -> ]"},
	} {
		if got := spans(New(20, 6), test.pieces...); got != test.want {
			t.Errorf("%s: Feed(%q) gave %q, want %q", test.name, test.pieces, got, test.want)
		}
	}
}

// TestLongStringsAreNotHeld gives the start of a long string away; who comes
// then is told of one that means nothing, until its end.
func TestLongStringsAreNotHeld(t *testing.T) {
	for start, end := range map[string]string{"\x1b]52;c;": "\a", "\x1bPq": "\x1b\\", "\x1b_G": "\x1b\\"} {
		s := New(20, 6)
		s.Feed([]byte("before " + start))
		given := 0
		for range 100 {
			for _, span := range s.Feed([]byte(strings.Repeat("A", 1000))) {
				given += len(span.Data)
			}
		}
		if given < 100_000 || len(s.feed.held) != 0 {
			t.Errorf("of %q and 100,000 bytes %d were given away and %d held, want all and none", start, given, len(s.feed.held))
		}
		late := New(20, 6)
		late.Feed(s.Snapshot())
		for _, span := range s.Feed([]byte("AAA" + end + "after")) {
			late.Feed(span.Data)
		}
		if got := dump(late).Main.Lines[0]; got != " before after" {
			t.Errorf("line after a snapshot inside of %q = %q, want %q", start, got, " before after")
		}
	}
}

func TestTitle(t *testing.T) {
	s := New(20, 6)
	s.Feed([]byte("\x1b]2;ein ✅ Titel\x1b\\"))
	if got := s.Title(); got != "ein ✅ Titel" {
		t.Errorf("Title = %q, want %q", got, "ein ✅ Titel")
	}
	s.Feed([]byte("\x1b]2;" + strings.Repeat("é", 1000) + "\a"))
	if got := len(s.Title()); got > maxTitle {
		t.Errorf("title has %d bytes, want %d at most", got, maxTitle)
	}
}

// TestKittyKeyboard is of what the reference knows nothing.
func TestKittyKeyboard(t *testing.T) {
	s := New(20, 6)
	s.Feed([]byte("\x1b[>1u\x1b[>5u\x1b[?1049h\x1b[>3u\x1b[=8;2u\x1b[>4;2m"))
	c := New(20, 6)
	c.Feed(s.Snapshot())
	if got, want := fmt.Sprint(c.main.keyboards, c.alt.keyboards, c.modes.otherKeys), "[1 5] [11] 2"; got != want {
		t.Errorf("keyboard modes after a snapshot = %s, want %s", got, want)
	}
	if got, want := spans(s, "\x1b[?u\x1b[<1u\x1b[?u"), "[^[?u -> ^[?11u]|^[<1u|[^[?u -> ^[?0u]"; got != want {
		t.Errorf("questions got %q, want %q", got, want)
	}
}
