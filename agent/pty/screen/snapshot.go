package screen

import (
	"fmt"
	"slices"
	"strconv"
)

// Reset makes a terminal that shows something fresh: write it before a Snapshot
// to a terminal that is behind.
const Reset = "\x1b\\\x1bc\x1b[3J\x1b[?9l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1016l" +
	"\x1b[?1007l\x1b[?2031l\x1b[?2048l\x1b[?5l\x1b[<16u\x1b[>4m\x1b[0 q\x1b[?12l\x1b[20l" +
	"\x1b]104\x1b\\\x1b]110\x1b\\\x1b]111\x1b\\\x1b]112\x1b\\\x1b]8;;\x1b\\"

// fresh sets what a terminal may have been left with by a shell before it.
const fresh = "\x1b[!p\x1b[?7h\x1b[m\x1b[H\x1b[2J"

// Snapshot returns bytes that bring a fresh terminal of the same size to the
// state of this one: the scrollback, as lines that scroll up, both screens, the
// cursors, modes, colours and titles. It leaves out what Feed has held back. Of
// a terminal that was never fed it returns nothing.
//
// On a terminal that has other widths than Unicode 11 for some characters the
// rest of each line is where it should be nevertheless.
//
// What a real terminal cannot be brought to by any bytes is replaced by what
// looks alike: a null cell in the last column behind a pending wrap (a blank),
// a wide character that the right edge cuts (null), a saved cursor below the
// screen (its last line) or with a wrap pending (without), tab stops beyond the
// edge (none).
func (s *Screen) Snapshot() []byte {
	if !s.touched {
		return nil
	}
	w := writer{s: s, out: append(make([]byte, 0, 4096+s.main.base()*64), fresh...)}
	w.names()
	w.colors()
	if b := &s.alt; s.buf != b && b.saved != (savedCursor{}) { // it is still there when a program comes back
		w.printf("\x1b[?1047h\x1b[%d;1H", min(b.saved.y, s.rows-1)+1)
		w.savedCursor(b, "\x1b[?1047l\x1b[H")
	}
	w.lines(&s.main)
	w.settings(&s.main)
	if s.buf == &s.alt {
		w.look(style{})
		w.printf("\x1b[%d;%dH\x1b[?1047h\x1b[H", s.main.y+1, s.main.x+1) // where it is matters when the size changes
		w.lines(&s.alt)
		w.settings(&s.alt)
	}
	w.shift()
	w.modes()
	w.cursor()
	return append(w.out, s.released()...)
}

// released returns the start of a string of which Feed gave the start away, as
// one that no terminal makes anything of.
func (s *Screen) released() string {
	switch {
	case !s.feed.released:
		return ""
	case s.parser.state == oscString:
		return "\x1b]9999;"
	case s.parser.inString():
		return "\x1b_"
	}
	return "\x1b[?<"
}

// writer makes a snapshot. It knows what the terminal it is for is left with
// after each byte.
type writer struct {
	s   *Screen
	out []byte
	now style // how the terminal's pen is
}

func (w *writer) print(text string) { w.out = append(w.out, text...) }

func (w *writer) printf(format string, args ...any) { w.out = fmt.Appendf(w.out, format, args...) }

// move puts the cursor at column x of the line it is in.
func (w *writer) column(x int) { w.sequence(x+1, 'G') }

// sequence is CSI n final.
func (w *writer) sequence(n int, final byte) {
	w.out = append(w.out, "\x1b["...)
	if n != 1 {
		w.out = strconv.AppendInt(w.out, int64(n), 10)
	}
	w.out = append(w.out, final)
}

// look makes the pen that of st.
func (w *writer) look(st style) {
	if st == w.now {
		return
	}
	flat := func(st style) style { st.look = look{color: st.look.color}; return st }
	if flat(st) != flat(w.now) {
		if w.now.bg&bgProtected != 0 {
			w.print("\x1b[0\"q")
		}
		w.out = sgr(w.out, st)
	}
	before, after := w.now.look, st.look
	before.color, after.color = 0, 0
	if before != after {
		w.link(after)
	}
	w.now = st
}

func (w *writer) link(l look) {
	id := ""
	switch {
	case l.linkID != "":
		id = "id=" + l.linkID
	case l.anonyme != 0:
		id = fmt.Sprintf("id=berth-%d", l.anonyme) // parts of it must stay one
	}
	w.printf("\x1b]8;%s;%s\x1b\\", id, l.link)
}

// forceLook sets the pen even if it is right: any control sequence keeps a mark
// that follows from joining the character before.
func (w *writer) forceLook(st style) {
	w.look(st)
	w.out = sgr(w.out, st)
}

// sgr appends the sequence that sets all but the link.
func sgr(out []byte, st style) []byte {
	out = append(out, "\x1b[0"...)
	for _, f := range []struct {
		on   uint32
		code string
	}{
		{st.fg & fgBold, ";1"},
		{st.bg & bgFaint, ";2"},
		{st.bg & bgItalic, ";3"},
		{st.fg & fgBlink, ";5"},
		{st.fg & fgInverse, ";7"},
		{st.fg & fgConceal, ";8"},
		{st.fg & fgStrike, ";9"},
		{st.bg & bgOverline, ";53"},
	} {
		if f.on != 0 {
			out = append(out, f.code...)
		}
	}
	switch st.underline {
	case 0:
	case 1:
		out = append(out, ";4"...)
	default:
		out = fmt.Appendf(out, ";4:%d", st.underline)
	}
	out = sgrColor(out, st.fg, 30)
	out = sgrColor(out, st.bg, 40)
	out = sgrColor(out, st.look.color, 50)
	out = append(out, 'm')
	if st.bg&bgProtected != 0 {
		return append(out, "\x1b[1\"q"...)
	}
	return out
}

func sgrColor(out []byte, c uint32, base int) []byte {
	v := int(c & 0xffffff)
	switch kind := c & colorKind; {
	case kind == colorBasic && base < 50 && v < 8:
		return fmt.Appendf(out, ";%d", base+v)
	case kind == colorBasic && base < 50:
		return fmt.Appendf(out, ";%d", base+60+v-8)
	case kind == color256 && base == 50:
		return fmt.Appendf(out, ";58:5:%d", v)
	case kind == color256:
		return fmt.Appendf(out, ";%d;5;%d", base+8, v)
	case kind == colorRGB && base == 50:
		return fmt.Appendf(out, ";58:2::%d:%d:%d", v>>16, v>>8&0xff, v&0xff)
	case kind == colorRGB:
		return fmt.Appendf(out, ";%d;2;%d;%d;%d", base+8, v>>16, v>>8&0xff, v&0xff)
	}
	return out
}

func (w *writer) names() {
	n := &w.s.names
	push := func(kind, command int, stack []string) {
		for _, name := range stack {
			w.printf("\x1b]%d;%s\x1b\\\x1b[22;%dt", command, name, kind)
		}
	}
	push(1, 1, n.icons)
	push(2, 2, n.titles)
	if n.icon != "" {
		w.printf("\x1b]1;%s\x1b\\", n.icon)
	}
	if n.title != "" {
		w.printf("\x1b]2;%s\x1b\\", n.title)
	}
}

func (w *writer) colors() {
	p := &w.s.palette
	for i := range 256 {
		if spec, ok := p.indexed[i]; ok {
			w.printf("\x1b]4;%d;%s\x1b\\", i, spec)
		}
	}
	for i, spec := range p.special {
		if spec != "" {
			w.printf("\x1b]%d;%s\x1b\\", 10+i, spec)
		}
	}
}

// settings writes what belongs to one of the two screens.
func (w *writer) settings(b *buffer) {
	s := w.s
	for _, flags := range b.keyboards {
		w.printf("\x1b[>%du", flags)
	}
	w.tabs(b)
	if y := b.saved.y - b.base(); y >= 0 && b.saved != (savedCursor{}) {
		w.printf("\x1b[%d;1H", min(y, s.rows-1)+1)
		w.savedCursor(b, "")
	}
	if b.top != 0 || b.bottom != s.rows-1 {
		w.printf("\x1b[%d;%dr", b.top+1, b.bottom+1)
	}
}

// savedCursor saves the cursor in the line where it is, and then prints after.
func (w *writer) savedCursor(b *buffer, after string) {
	w.printf("\x1b(%c", b.saved.charset.final())
	w.column(b.saved.x)
	w.look(b.saved.pen.style)
	w.print("\x1b7\x1b(B" + after)
	w.look(style{})
}

func (w *writer) tabs(b *buffer) {
	cols := w.s.cols
	standard := buffer{}
	standard.resetTabs(cols)
	if slices.Equal(b.tabs[:cols], standard.tabs[:cols]) {
		return
	}
	w.print("\x1b[3g")
	for x, stop := range b.tabs[:cols] {
		if stop {
			w.column(x)
			w.print("\x1bH")
		}
	}
}

// shift writes the character sets. DECRC gives back an active set that is none
// of those designated, and is the only way to have one.
func (w *writer) shift() {
	sh := &w.s.shift
	for g, set := range sh.sets {
		if set != charsetASCII {
			w.printf("\x1b%c%c", "()*+"[g], set.final())
		}
	}
	switch sh.level {
	case 1:
		w.print("\x0e")
	case 2:
		w.print("\x1bn")
	case 3:
		w.print("\x1bo")
	}
	if sh.active != sh.sets[sh.level] {
		w.print("\x1b8")
		saved := w.s.buf.saved.pen.style // xterm.js gives back no link
		saved.look.link, saved.look.linkID, saved.look.anonyme = w.now.look.link, w.now.look.linkID, w.now.look.anonyme
		w.now = saved
	}
}

func (w *writer) modes() {
	m, d := &w.s.modes, &defaultModes
	set := func(on, before bool, mode string) {
		switch {
		case on && !before:
			w.print("\x1b[" + mode + "h")
		case !on && before:
			w.print("\x1b[" + mode + "l")
		}
	}
	set(m.newline, d.newline, "20")
	set(m.appCursor, d.appCursor, "?1")
	set(m.origin, d.origin, "?6")
	set(m.reverseWrap, d.reverseWrap, "?45")
	set(m.blink, d.blink, "?12")
	set(m.focus, d.focus, "?1004")
	set(m.paste, d.paste, "?2004")
	set(!m.hidden, !d.hidden, "?25")
	if m.keypad {
		w.print("\x1b=")
	}
	if m.mouse != 0 {
		w.printf("\x1b[?%dh", m.mouse)
	}
	if m.mouseEncoding != 0 {
		w.printf("\x1b[?%dh", m.mouseEncoding)
	}
	if m.otherKeys != 0 {
		w.printf("\x1b[>4;%dm", m.otherKeys)
	}
	if m.cursorStyle != 0 {
		w.printf("\x1b[%d q", m.cursorStyle)
	}
	for i, mode := range remembered {
		set(m.set[i], false, "?"+strconv.Itoa(mode))
	}
	set(m.insert, d.insert, "4")
	set(m.wrap, d.wrap, "?7")
	set(m.synchronized, d.synchronized, "?2026")
}
