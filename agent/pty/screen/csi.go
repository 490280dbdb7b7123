package screen

// controlSequence acts on CSI prefix parameters intermediates final.
func (s *Screen) controlSequence(id uint32) {
	if s.moveSequence(id) || s.editSequence(id) {
		return
	}
	p := &s.parser
	switch id {
	case 'h', 'l':
		s.eachParam(func(v int) { s.setMode(v, id == 'h') })
	case '?'<<8 | 'h', '?'<<8 | 'l':
		s.eachParam(func(v int) { s.setPrivateMode(v, id&0xff == 'h') })
	case 'm':
		s.selectGraphics()
	case '>'<<8 | 'm':
		if p.params[0] == 4 {
			s.modes.otherKeys = min(p.arg(1, 0), 9)
		}
	case 'r':
		s.setRegion(p.arg(0, 1), p.arg(1, s.rows))
	case 's':
		s.saveCursor()
	case 'u':
		s.restoreCursor()
	case '>'<<8 | 'u', '<'<<8 | 'u', '='<<8 | 'u':
		s.setKeyboard(id >> 8)
	case 't':
		s.windowSequence()
	case '!'<<8 | 'p':
		s.softReset()
	case ' '<<8 | 'q':
		s.setCursorStyle()
	case '"'<<8 | 'q':
		s.protect()
	default:
		s.querySequence(id)
	}
}

func (s *Screen) eachParam(f func(v int)) {
	params, n := s.parser.params, s.parser.n
	for _, v := range params[:n] {
		f(int(v))
	}
}

// moveSequence acts on what moves the cursor; it reports whether id is such.
func (s *Screen) moveSequence(id uint32) bool {
	b, p := s.buf, &s.parser
	n := p.arg(0, 1)
	switch id {
	case 'A', 'F':
		up := n
		if b.y >= b.top {
			up = min(up, b.y-b.top)
		}
		s.moveBy(0, -up)
	case 'B', 'E':
		down := n
		if b.y <= b.bottom {
			down = min(down, b.bottom-b.y)
		}
		s.moveBy(0, down)
	case 'C', 'a':
		s.moveBy(min(n, s.cols), 0)
	case 'D':
		s.moveBy(-min(n, s.cols), 0)
	case 'G', '`':
		s.moveTo(n-1, b.y)
	case 'H', 'f':
		s.moveTo(p.arg(1, 1)-1, n-1)
	case 'd':
		s.moveTo(b.x, n-1)
	case 'e':
		s.moveBy(0, min(n, s.rows))
	case 'I', 'Z':
		s.tabs(n, id == 'I')
	case 'g':
		switch p.params[0] {
		case 0:
			b.tabs[b.x] = false
		case 3:
			clear(b.tabs)
		}
	default:
		return false
	}
	if id == 'E' || id == 'F' {
		b.x = 0
	}
	return true
}

func (s *Screen) tabs(n int, forward bool) {
	b := s.buf
	for range min(n, s.cols) {
		if b.x >= s.cols {
			return
		}
		if forward {
			b.x = b.nextTab(b.x, s.cols)
		} else {
			b.x = b.prevTab(b.x, s.cols)
		}
	}
}

// editSequence acts on what changes cells; it reports whether id is such.
func (s *Screen) editSequence(id uint32) bool {
	b, n := s.buf, s.parser.arg(0, 1)
	switch id {
	case 'J', '?'<<8 | 'J':
		s.eraseDisplay(int(s.parser.params[0]), id > 0xff)
	case 'K', '?'<<8 | 'K':
		s.eraseLine(int(s.parser.params[0]), id > 0xff)
	case 'X':
		s.restrict(s.cols - 1)
		b.row().erase(b.x, b.x+min(n, s.cols), s.pen.erased(), false)
	case '@':
		s.restrict(s.cols - 1)
		b.row().insert(b.x, n, s.pen.erased())
	case 'P':
		s.restrict(s.cols - 1)
		b.row().remove(b.x, n, s.pen.erased())
	case 'L', 'M':
		s.shiftLines(n, id == 'L')
	case 'S', 'T':
		s.scroll(n, id == 'S')
	case ' '<<8 | '@', ' '<<8 | 'A', '\''<<8 | '}', '\''<<8 | '~':
		s.shiftColumns(id, n)
	case 'b':
		s.repeat(n)
	default:
		return false
	}
	return true
}

// eraseDisplay is ED; what 2 asks for does not go into the history.
func (s *Screen) eraseDisplay(what int, keepProtected bool) {
	b := s.buf
	s.restrict(s.cols)
	fill := s.pen.erased()
	first, last := b.y+1, s.rows
	switch what {
	case 0:
		b.row().erase(b.x, s.cols, fill, keepProtected)
		if b.x == 0 {
			b.row().wrapped = false
		}
	case 1:
		b.row().erase(0, b.x+1, fill, keepProtected)
		b.row().wrapped = false
		if b.x+1 >= s.cols && b.base() == 0 && b.y+1 < s.rows {
			b.rows[b.y+1].wrapped = false
		}
		first, last = 0, b.y
	case 2:
		first = 0
	case 3:
		if b.history != nil {
			b.history.clear()
		}
		return
	default:
		return
	}
	for y := first; y < last; y++ {
		b.rows[y].erase(0, s.cols, fill, keepProtected)
		b.rows[y].wrapped = false
	}
}

// eraseLine is EL.
func (s *Screen) eraseLine(what int, keepProtected bool) {
	b := s.buf
	s.restrict(s.cols)
	fill := s.pen.erased()
	switch what {
	case 0:
		b.row().erase(b.x, s.cols, fill, keepProtected)
		if b.x == 0 {
			b.row().wrapped = false
		}
	case 1:
		b.row().erase(0, b.x+1, fill, keepProtected)
	case 2:
		b.row().erase(0, s.cols, fill, keepProtected)
		b.row().wrapped = false
	}
}

// shiftLines is IL and DL.
func (s *Screen) shiftLines(n int, insert bool) {
	b := s.buf
	s.restrict(s.cols - 1)
	if b.y < b.top || b.y > b.bottom {
		return
	}
	top := b.top
	b.top = b.y
	for range min(n, b.bottom-b.y+1) {
		if insert {
			b.scrollDown(b.y, s.pen.erased())
		} else {
			b.scrollUp(s, s.pen.erased(), false, false)
		}
	}
	b.top = top
	b.x = 0
}

// scroll is SU and SD: nothing goes into the history.
func (s *Screen) scroll(n int, up bool) {
	b := s.buf
	for range min(n, b.bottom-b.top+1) {
		if up {
			b.scrollUp(s, s.pen.erased(), false, false)
		} else {
			b.scrollDown(b.top, nullCell)
		}
	}
}

// shiftColumns is SL, SR, DECIC and DECDC.
func (s *Screen) shiftColumns(id uint32, n int) {
	b := s.buf
	if b.y < b.top || b.y > b.bottom {
		return
	}
	x := 0
	if id>>8 == '\'' {
		x = b.x
	}
	for y := b.top; y <= b.bottom; y++ {
		if id&0xff == '@' || id&0xff == '~' {
			b.rows[y].remove(x, n, s.pen.erased())
		} else {
			b.rows[y].insert(x, n, s.pen.erased())
		}
		b.rows[y].wrapped = false
	}
}

// setRegion is DECSTBM; lines count from 1.
func (s *Screen) setRegion(top, bottom int) {
	bottom = min(bottom, s.rows)
	if bottom > top {
		s.buf.top, s.buf.bottom = top-1, bottom-1
		s.moveTo(0, 0)
	}
}

// protect is DECSCA.
func (s *Screen) protect() {
	switch s.parser.params[0] {
	case 1:
		s.pen.bg |= bgProtected
	case 0, 2:
		s.pen.bg &^= bgProtected
	}
	s.pen.refresh(s)
}
