package screen

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// shownState is all there is to say of a terminal, in the words of
// reference/reference.js.
type shownState struct {
	Cols, Rows  int
	Alt         bool
	X, Y        int
	Main, Other *shownBuffer
	Pen         string
	Join        int

	Charsets string
	Level    int
	Active   string

	AppCursor, Keypad, Paste, Origin, Wrap, ReverseWrap, Focus, Synchronized bool
	Insert, Newline, Blink, Hidden                                           bool

	CursorStyle, Mouse, Encoding string
	Title, Icon                  string
	Titles, Icons                []string
}

// shownBuffer is one of the two screens. A line starts with "+" if it continues
// the one above. A cell is its text, after 0x04 if it has no width and 0x05 if
// it has two, before 0x06 if it has marks; a null cell is 0x00 and the second
// half of a wide one 0x03. Where the look changes it is between 0x01 and 0x02.
// Null cells without look at the end are left out.
type shownBuffer struct {
	Lines             []string
	Base, Top, Bottom int
	Tabs              []int
	SavedX, SavedY    int
	SavedPen          string
	SavedCharset      string
}

func dump(s *Screen) shownState {
	m := &s.modes
	d := shownState{
		Cols: s.cols, Rows: s.rows, Alt: s.buf == &s.alt, X: s.buf.x, Y: s.buf.y,
		Main: dumpBuffer(s, &s.main), Pen: dumpLook(s.penLook()), Join: s.join,
		Level: s.shift.level, Active: string(s.shift.active.final()),
		AppCursor: m.appCursor, Keypad: m.keypad, Paste: m.paste, Origin: m.origin, Wrap: m.wrap,
		ReverseWrap: m.reverseWrap, Focus: m.focus, Synchronized: m.synchronized,
		Insert: m.insert, Newline: m.newline, Blink: m.blink, Hidden: m.hidden,
		CursorStyle: []string{"", "block!", "block", "underline!", "underline", "bar!", "bar"}[m.cursorStyle],
		Mouse:       map[int]string{0: "NONE", 9: "X10", 1000: "VT200", 1002: "DRAG", 1003: "ANY"}[m.mouse],
		Encoding:    map[int]string{0: "DEFAULT", 1006: "SGR", 1016: "SGR_PIXELS"}[m.mouseEncoding],
		Title:       s.names.title, Icon: s.names.icon,
		Titles: append([]string{}, s.names.titles...), Icons: append([]string{}, s.names.icons...),
	}
	for _, set := range s.shift.sets {
		d.Charsets += string(set.final())
	}
	if d.Alt {
		d.Other = dumpBuffer(s, &s.alt)
	}
	return d
}

// penLook is how the pen's cells look, which is all the reference tells.
func (s *Screen) penLook() style { return s.styleOf(s.pen.cell) }

func dumpBuffer(s *Screen, b *buffer) *shownBuffer {
	saved := b.saved.pen.style
	saved.underline, saved.look = 0, look{}
	d := &shownBuffer{
		Base: b.base(), Top: b.top, Bottom: b.bottom,
		SavedX: min(b.saved.x, s.cols-1), SavedY: min(max(b.saved.y-b.base(), 0), s.rows-1),
		SavedPen: dumpLook(saved), SavedCharset: string(b.saved.charset.final()), Tabs: []int{},
	}
	for x, stop := range b.tabs[:s.cols] {
		if stop {
			d.Tabs = append(d.Tabs, x)
		}
	}
	if b.history != nil {
		for _, packed := range b.history.all() {
			d.Lines = append(d.Lines, dumpLine(s, s.unpack(packed, s.cols)))
		}
	}
	for _, l := range b.rows {
		d.Lines = append(d.Lines, dumpLine(s, l))
	}
	return d
}

func dumpLine(s *Screen, l line) string {
	var out strings.Builder
	kept, now := 0, "0/0/"
	for _, c := range l.cells {
		at := dumpLook(s.styleOf(c))
		if at != now {
			now = at
			out.WriteString("\x01" + at + "\x02")
		}
		text := string(s.appendText(nil, c))
		switch {
		case text == "" && c.width() == 0:
			out.WriteByte(3)
		case text == "":
			out.WriteByte(0)
		case c.width() == 0:
			out.WriteString("\x04" + text)
		case c.width() == 2:
			out.WriteString("\x05" + text)
		default:
			out.WriteString(text)
		}
		if utf8.RuneCountInString(text) > 1 {
			out.WriteByte(6)
		}
		if c != nullCell {
			kept = out.Len()
		}
	}
	flag := " "
	if l.wrapped {
		flag = "+"
	}
	return flag + out.String()[:kept]
}

func dumpLook(st style) string {
	out := fmt.Sprintf("%x/%x/", st.fg&colorMask, st.bg&colorMask)
	for _, f := range []struct {
		on   uint32
		name string
	}{
		{st.fg & fgInverse, "i"},
		{st.fg & fgBold, "b"},
		{st.fg & fgBlink, "k"},
		{st.fg & fgConceal, "c"},
		{st.fg & fgStrike, "s"},
		{st.bg & bgItalic, "t"},
		{st.bg & bgFaint, "f"},
		{st.bg & bgProtected, "p"},
		{st.bg & bgOverline, "o"},
	} {
		if f.on != 0 {
			out += f.name
		}
	}
	if st.underline != 0 {
		out += fmt.Sprintf("u%d", st.underline)
	}
	if st.look.color != 0 && st.look.color != colorRGB|0xffffff {
		out += fmt.Sprintf("U%x", st.look.color)
	}
	if st.look.link != "" {
		out += "L" + st.look.linkID + "|" + st.look.link
	}
	return out
}

// compare reports where got differs from want; call says what was done.
func compare(t testing.TB, call string, got, want shownState) bool {
	t.Helper()
	same := true
	report := func(what string, got, want any) {
		t.Helper()
		same = false
		t.Errorf("%s: %s\n got %q\nwant %q", call, what, fmt.Sprint(got), fmt.Sprint(want))
	}
	buffers := func(name string, got, want *shownBuffer) {
		if got == nil || want == nil {
			if got != want {
				report(name, got, want)
			}
			return
		}
		if len(got.Lines) != len(want.Lines) {
			report(name+" lines", len(got.Lines), len(want.Lines))
		}
		wrong := 0
		for i := range min(len(got.Lines), len(want.Lines)) {
			if got.Lines[i] != want.Lines[i] {
				if wrong++; wrong <= 3 {
					report(fmt.Sprintf("%s line %d of %d", name, i, len(got.Lines)), got.Lines[i], want.Lines[i])
				}
			}
		}
		g, w := *got, *want
		g.Lines, w.Lines = nil, nil
		if !reflect.DeepEqual(g, w) {
			report(name, fmt.Sprintf("%+v", g), fmt.Sprintf("%+v", w))
		}
	}
	buffers("main", got.Main, want.Main)
	buffers("alternate", got.Other, want.Other)
	got.Main, want.Main, got.Other, want.Other = nil, nil, nil, nil
	if !reflect.DeepEqual(got, want) {
		report("state", fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want))
	}
	return same
}
