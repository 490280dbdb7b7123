package sshconfig

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

const (
	start = startMarker + "\n"
	end   = endMarker + "\n"
)

func TestSetTouchesTheSectionOnly(t *testing.T) {
	for _, c := range []struct{ before, want, removed string }{
		{"", start + "X\n" + end, ""},
		{"Host a\n", "Host a\n" + start + "X\n" + end, "Host a\n"},
		{"Host a", "Host a\n" + start + "X\n" + end, "Host a\n"},
		{"Host a\r\n# \xff", "Host a\r\n# \xff\r\n" + crlf(start+"X\n"+end), "Host a\r\n# \xff\r\n"},
		{"a\n" + start + "old\n" + end + "b", "a\n" + start + "X\n" + end + "b", "a\nb"},
		{"a\r\n" + start + end + "b\n", "a\r\n" + crlf(start+"X\n"+end) + "b\n", "a\r\nb\n"},
		{start + "old\n" + endMarker, start + "X\n" + end, ""},
		{"  " + crlf(start) + "\t" + end, crlf(start + "X\n" + end), ""},
		{"# " + start + "a\n", "# " + start + "a\n" + start + "X\n" + end, "# " + start + "a\n"},
	} {
		got, err := Set([]byte(c.before), "X\n")
		if err != nil || string(got) != c.want {
			t.Errorf("Set(%q) = %q, %v; want %q", c.before, got, err, c.want)
		}
		removed, err := Remove(got)
		if err != nil || string(removed) != c.removed {
			t.Errorf("Remove(%q) = %q, %v; want %q", got, removed, err, c.removed)
		}
	}
}

func crlf(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

func TestBrokenMarkersAreNamed(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"a\n" + start + "b\n", `line 2: "` + startMarker + `" without an end`},
		{"a\n" + end, `line 2: "` + endMarker + `" without a start`},
		{start + "a\n" + start + end, `line 3: "` + startMarker + `" again, before the end of the section of line 1`},
		{start + end + "a\n" + start + end, `line 4: "` + startMarker + `" begins a second section`},
		{start + end + end, `line 3: "` + endMarker + `" without a start`},
	} {
		for name, call := range map[string]func([]byte) ([]byte, error){
			"Section": Section, "Remove": Remove, "Set": func(b []byte) ([]byte, error) { return Set(b, "") },
		} {
			var broken *MarkerError
			if _, err := call([]byte(c.text)); !errors.As(err, &broken) || err.Error() != c.want {
				t.Errorf("%s(%q) = %v, want %s", name, c.text, err, c.want)
			}
		}
	}
}

func FuzzSet(f *testing.F) {
	for _, seed := range []string{
		"", "Host a", "Host a\r", "Host a\r\n", "\xff\xfe\x00", start, end, start + end, start + end + start + end,
		"a\r\n" + start + "b\n" + end + "c", " " + start + "\r" + end + "\r", crlf(start) + end,
	} {
		f.Add([]byte(seed), "Host x\n")
	}
	f.Fuzz(func(t *testing.T, text []byte, body string) {
		if strings.Contains(body, "------------") || body != "" && !strings.HasSuffix(body, "\n") {
			return // no section of ours
		}
		once, err := Set(text, body)
		if err != nil {
			return
		}
		twice, err := Set(once, body)
		if err != nil || !bytes.Equal(twice, once) {
			t.Errorf("Set(Set(%q)) = %q, %v, want %q", text, twice, err, once)
		}
		old, _ := find(text)
		now, _ := find(once)
		before, after := text[:old.start], text[old.end:]
		if old.end == 0 {
			before, after = text, nil
		}
		gap, ok := bytes.CutPrefix(once[:now.start], before)
		if gap := string(gap); !ok || gap != "" && gap != "\n" && gap != "\r\n" || !bytes.Equal(once[now.end:], after) {
			t.Errorf("Set(%q) = %q: what is around the section differs", text, once)
		}
		gone, err := Remove(once)
		if want := bytes.Join([][]byte{once[:now.start], after}, nil); err != nil || !bytes.Equal(gone, want) {
			t.Errorf("Remove(%q) = %q, %v, want %q", once, gone, err, want)
		}
	})
}
