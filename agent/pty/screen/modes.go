package screen

// modes are the switches that programs set.
type modes struct {
	insert, newline            bool
	appCursor, keypad          bool
	origin, wrap, reverseWrap  bool
	blink, hidden              bool
	focus, paste, synchronized bool
	mouse                      int // 0 or the mode that was set: 9, 1000, 1002, 1003
	mouseEncoding              int // 0 or 1006, 1016
	cursorStyle                int // DECSCUSR
	otherKeys                  int // xterm's modifyOtherKeys
	set                        [len(remembered)]bool
}

var defaultModes = modes{wrap: true, blink: false}

// remembered are private modes that mean nothing to the screen but something to
// the terminals of viewers: reverse video, mouse encodings of old, alternate
// scroll, what the meta key sends, grapheme clusters, colour scheme and size
// reports.
var remembered = [...]int{5, 1005, 1007, 1015, 1034, 1036, 1039, 2027, 2031, 2048}

func (s *Screen) setMode(v int, on bool) {
	switch v {
	case 4:
		s.modes.insert = on
	case 20:
		s.modes.newline = on
	}
}

func (s *Screen) setPrivateMode(v int, on bool) {
	m := &s.modes
	switch v {
	case 1:
		m.appCursor = on
	case 2:
		if on {
			for g := range s.shift.sets {
				s.shift.designate(g, charsetASCII)
			}
		}
	case 6:
		m.origin = on
		s.moveTo(0, 0)
	case 7:
		m.wrap = on
	case 12:
		m.blink = on
	case 25:
		m.hidden = !on
	case 45:
		m.reverseWrap = on
	case 66:
		m.keypad = on
	case 9, 1000, 1002, 1003:
		m.mouse = 0
		if on {
			m.mouse = v
		}
	case 1006, 1016:
		m.mouseEncoding = 0
		if on {
			m.mouseEncoding = v
		}
	case 1004:
		m.focus = on
	case 2004:
		m.paste = on
	case 2026:
		m.synchronized = on
	case 47, 1047, 1048, 1049:
		s.setAlternate(v, on)
	default:
		for i, mode := range remembered {
			if mode == v {
				m.set[i] = on
			}
		}
	}
}

// setAlternate changes between the screens; 1048 saves the cursor only, 1049
// too.
func (s *Screen) setAlternate(v int, on bool) {
	if on && v >= 1048 {
		s.saveCursor()
	}
	switch {
	case v == 1048:
	case on && s.buf == &s.main:
		s.alt.rows = make([]line, s.rows)
		for i := range s.alt.rows {
			s.alt.rows[i] = newLine(s.cols, s.pen.erased())
		}
		s.alt.x, s.alt.y = s.main.x, s.main.y
		s.buf = &s.alt
	case !on && s.buf == &s.alt:
		s.main.x, s.main.y = s.alt.x, s.alt.y
		s.leaveAlternate()
	}
	if !on && v >= 1048 {
		s.restoreCursor()
	}
}

func (s *Screen) leaveAlternate() {
	saved := s.alt.saved
	s.alt = buffer{bottom: s.rows - 1, saved: saved}
	s.alt.resetTabs(s.cols)
	s.buf = &s.main
}

// softReset is DECSTR.
func (s *Screen) softReset() {
	b := s.buf
	b.top, b.bottom = 0, s.rows-1
	s.pen = pen{}
	keep := s.modes
	s.modes = defaultModes
	s.modes.newline, s.modes.blink = keep.newline, keep.blink
	s.modes.mouse, s.modes.mouseEncoding, s.modes.set = keep.mouse, keep.mouseEncoding, keep.set
	s.shift = shift{}
	b.saved = savedCursor{y: b.base()}
}

func (s *Screen) setCursorStyle() {
	if v := s.parser.params[0]; v >= 0 && v <= 6 {
		s.modes.cursorStyle = int(v)
	}
}

// setKeyboard is kitty's keyboard protocol: '>' pushes flags, '<' pops them,
// '=' changes them.
func (s *Screen) setKeyboard(prefix uint32) {
	b, p := s.buf, &s.parser
	flags := uint32(p.params[0]) & 31
	switch prefix {
	case '>':
		if len(b.keyboards) == maxKeyboards {
			b.keyboards = append(b.keyboards[:0], b.keyboards[1:]...)
		}
		b.keyboards = append(b.keyboards, flags)
	case '<':
		b.keyboards = b.keyboards[:max(len(b.keyboards)-p.arg(0, 1), 0)]
	case '=':
		if len(b.keyboards) == 0 {
			b.keyboards = []uint32{0}
		}
		at := &b.keyboards[len(b.keyboards)-1]
		switch p.arg(1, 1) {
		case 1:
			*at = flags
		case 2:
			*at |= flags
		case 3:
			*at &^= flags
		}
	}
}

func (b *buffer) keyboard() uint32 {
	if n := len(b.keyboards); n > 0 {
		return b.keyboards[n-1]
	}
	return 0
}
