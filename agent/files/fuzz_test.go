package files

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzReadLines splits a text into lines as a reader of JSON would, and puts them
// together again.
func FuzzReadLines(f *testing.F) {
	f.Add("a\nb\r\n\n", 2)
	f.Add("no end", 1)
	f.Add("", 3)
	f.Fuzz(func(t *testing.T, text string, step int) {
		if step = 1 + step&7; len(text) > 4<<10 || checkText([]byte(text)) != nil {
			return
		}
		var all strings.Builder
		for first := 1; ; first += step {
			l := Lines{First: first}
			if err := l.read(strings.NewReader(text), step); err != nil {
				t.Fatalf("lines from %d on: %v", first, err)
			}
			all.WriteString(l.Content)
			if got := strings.Count(l.Content, "\n"); got != l.Count && got+1 != l.Count || l.Count > step {
				t.Fatalf("lines from %d on = %+v, want %d of them at most", first, l, step)
			}
			if first > l.Total {
				break
			}
		}
		if all.String() != text {
			t.Errorf("the lines together = %q, want %q", &all, text)
		}
	})
}

// FuzzApply undoes an edit: what was replaced once can be replaced back.
func FuzzApply(f *testing.F) {
	f.Add("one two", "two", "three")
	f.Add("aaa", "aa", "b")
	f.Add("\xff", "", "x")
	f.Fuzz(func(t *testing.T, text, search, replace string) {
		got, n, err := apply([]byte(text), []Edit{{Search: search, Replace: replace}})
		if err != nil {
			return
		}
		i := strings.Index(text, search)
		want := text[:i] + replace + text[i+len(search):]
		if n != 1 || !bytes.Equal(got, []byte(want)) || strings.Contains(text[i+1:], search) {
			t.Errorf("apply(%q, %q, %q) = %q with %d replaced, want %q", text, search, replace, got, n, want)
		}
	})
}
