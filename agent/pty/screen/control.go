package screen

// execute acts on a control character.
func (s *Screen) execute(r rune) {
	b := s.buf
	switch r {
	case 0x08:
		s.backspace()
	case 0x09:
		if b.x < s.cols {
			b.x = b.nextTab(b.x, s.cols)
		}
	case 0x0a, 0x0b, 0x0c:
		s.lineFeed()
	case 0x0d:
		b.x = 0
	case 0x0e:
		s.shift.use(1)
	case 0x0f:
		s.shift.use(0)
	case 0x84:
		s.index()
	case 0x85:
		b.x = 0
		s.index()
	case 0x88:
		b.tabs[b.x] = true
	}
	s.join = 0
}

func (s *Screen) lineFeed() {
	b := s.buf
	if s.modes.newline {
		b.x = 0
	}
	switch {
	case b.y == b.bottom:
		b.scrollUp(s, s.pen.erased(), false, true)
	case b.y < s.rows-1:
		b.y++
		b.row().wrapped = false
	}
	if b.x >= s.cols {
		b.x--
	}
}

func (s *Screen) backspace() {
	b := s.buf
	if !s.modes.reverseWrap {
		s.restrict(s.cols - 1)
		b.x = max(b.x-1, 0)
		return
	}
	s.restrict(s.cols)
	if b.x > 0 {
		b.x--
	} else if b.y > b.top && b.y <= b.bottom && b.row().wrapped {
		b.row().wrapped = false
		b.y--
		b.x = s.cols - 1
		if c := b.row().cells[b.x]; c.width() > 0 && !c.hasContent() {
			b.x--
		}
	}
	s.restrict(s.cols - 1)
}

// restrict keeps the cursor on the screen, or in the region in origin mode.
func (s *Screen) restrict(maxX int) {
	b := s.buf
	b.x = min(max(b.x, 0), maxX)
	top, bottom := 0, s.rows-1
	if s.modes.origin {
		top, bottom = b.top, b.bottom
	}
	b.y = min(max(b.y, top), bottom)
}

// moveTo puts the cursor at x, y, which counts from the region in origin mode.
func (s *Screen) moveTo(x, y int) {
	if s.modes.origin {
		y += s.buf.top
	}
	s.buf.x, s.buf.y = x, y
	s.restrict(s.cols - 1)
}

// moveBy moves the cursor. As in xterm.js, a relative move in origin mode
// counts from the region once more.
func (s *Screen) moveBy(dx, dy int) {
	s.restrict(s.cols - 1)
	s.moveTo(s.buf.x+dx, s.buf.y+dy)
}

// index moves down, and scrolls at the end of the region.
func (s *Screen) index() {
	b := s.buf
	s.restrict(s.cols - 1)
	if b.y == b.bottom {
		b.scrollUp(s, s.pen.erased(), false, true)
	} else {
		b.y = min(b.y+1, s.rows-1)
	}
	s.restrict(s.cols - 1)
}

// reverseIndex moves up, and scrolls at the start of the region.
func (s *Screen) reverseIndex() {
	b := s.buf
	s.restrict(s.cols - 1)
	if b.y == b.top {
		b.scrollDown(b.top, s.pen.erased())
		return
	}
	b.y--
	s.restrict(s.cols - 1)
}

func (s *Screen) saveCursor() {
	b := s.buf
	b.saved = savedCursor{x: b.x, y: b.base() + b.y, pen: s.pen, charset: s.shift.active}
}

func (s *Screen) restoreCursor() {
	b := s.buf
	b.x, b.y = b.saved.x, max(b.saved.y-b.base(), 0)
	link := s.pen.look
	s.pen.style = b.saved.pen.style
	s.pen.look.link, s.pen.look.linkID, s.pen.look.anonyme = link.link, link.linkID, link.anonyme
	s.pen.refresh(s)
	s.shift.active = b.saved.charset
	s.restrict(s.cols - 1)
}

// escapeSequence acts on ESC intermediates final.
func (s *Screen) escapeSequence(id uint32) {
	b := s.buf
	switch id {
	case '7':
		s.saveCursor()
	case '8':
		s.restoreCursor()
	case 'D':
		s.index()
	case 'E':
		b.x = 0
		s.index()
	case 'H':
		b.tabs[b.x] = true
	case 'M':
		s.reverseIndex()
	case '=':
		s.modes.keypad = true
	case '>':
		s.modes.keypad = false
	case 'c':
		s.reset()
	case 'n', '}':
		s.shift.use(2)
	case 'o', '|':
		s.shift.use(3)
	case '~':
		s.shift.use(1)
	case '#'<<8 | '8':
		s.alignment()
	case '%'<<8 | '@', '%'<<8 | 'G':
		s.shift.use(0)
		s.shift.designate(0, charsetASCII)
	default:
		s.designate(id>>8, rune(id&0xff))
	}
}

// designate is ESC ( B and its like.
func (s *Screen) designate(intermediate uint32, final rune) {
	set, known := charsets[final]
	if !known {
		return
	}
	switch intermediate {
	case '(':
		s.shift.designate(0, set)
	case ')', '-':
		s.shift.designate(1, set)
	case '*', '.':
		s.shift.designate(2, set)
	case '+':
		s.shift.designate(3, set)
	}
}

// alignment is DECALN: the screen full of E.
func (s *Screen) alignment() {
	s.moveTo(0, 0)
	c := cell{ch: narrow | 'E', fg: s.pen.fg, bg: s.pen.bg, ext: min(s.pen.underline, 1) << underlineShift}
	for y := s.buf.y; y < s.rows; y++ {
		s.buf.rows[y].fill(c)
		s.buf.rows[y].wrapped = false
	}
	s.moveTo(0, 0)
}
