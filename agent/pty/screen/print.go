package screen

import "unicode/utf8"

// wrap moves on to the next line, which continues this one.
func (s *Screen) wrap() {
	b := s.buf
	if b.y == b.bottom {
		b.scrollUp(s, s.pen.erased(), true, true)
		return
	}
	if b.y < s.rows-1 {
		b.y++
	}
	b.row().wrapped = true
}

// printASCII prints bytes from 0x20 to 0x7e.
func (s *Screen) printASCII(text []byte) {
	if s.modes.insert || s.shift.active != charsetASCII {
		for _, c := range text {
			s.printRune(rune(c))
		}
		return
	}
	b := s.buf
	s.closeLeft()
	for len(text) > 0 {
		if b.x >= s.cols {
			if s.modes.wrap {
				b.x = 0
				s.wrap()
			} else {
				b.x = s.cols - 1
			}
		}
		row := b.row()
		cells := row.cells[b.x:]
		n := min(len(text), len(cells))
		cells = cells[:n]
		c := s.pen.cell
		for i, ch := range text[:n] {
			c.ch = narrow | uint32(ch)
			cells[i] = c
		}
		b.x += n
		row.touch(b.x)
		text = text[n:]
	}
	s.join = 1
	s.closeRight()
}

// closeLeft makes the wide character null whose second half is printed over.
func (s *Screen) closeLeft() {
	if x := s.buf.x; x > 0 {
		if left := &s.buf.row().cells[x-1]; left.width() == 2 {
			*left = s.pen.null()
			s.buf.row().touch(x)
		}
	}
}

// closeRight does so with one whose first half was printed over.
func (s *Screen) closeRight() {
	if x := s.buf.x; x < s.cols {
		if right := &s.buf.row().cells[x]; right.isHalf() {
			*right = s.pen.null()
			s.buf.row().touch(x + 1)
		}
	}
}

// printRune prints one character.
func (s *Screen) printRune(r rune) {
	if s.shift.active != charsetASCII && r < 0x7f {
		r = s.shift.active.translate(r)
	}
	w := s.widths.width(r)
	if w == 0 && s.join > 0 && s.buf.x > 0 {
		s.addMark(r)
		return
	}
	s.closeLeft()
	s.place(r, w)
	s.join = w
	s.closeRight()
}

// addMark joins a mark to the character before the cursor.
func (s *Screen) addMark(r rune) {
	cells := s.buf.row().cells
	at := s.buf.x - 1
	if cells[at].width() == 0 && at > 0 {
		at--
	}
	c := &cells[at]
	var room [maxCluster + utf8.UTFMax]byte
	text := utf8.AppendRune(s.appendText(room[:0], *c), r)
	if len(text) > maxCluster || !c.hasContent() {
		return
	}
	if i, ok := s.cluster(string(text)); ok {
		c.ch = c.ch&^contentMask | isCluster | i
	}
}

// place puts a character that takes w cells at the cursor.
func (s *Screen) place(r rune, w int) {
	b := s.buf
	if b.x+w > s.cols {
		if s.modes.wrap {
			row := b.row()
			for ; b.x < s.cols; b.x++ {
				row.cells[b.x] = s.pen.null()
			}
			row.touch(s.cols)
			b.x = 0
			s.wrap()
		} else {
			b.x = s.cols - 1
			if w == 2 {
				return
			}
		}
	}
	row := b.row()
	if b.x >= s.cols { // a mark that belongs to nothing, behind the last column
		return
	}
	if s.modes.insert && w > 0 {
		row.insert(b.x, w, s.pen.null())
	}
	row.cells[b.x] = s.pen.cell.with(uint32(w)<<widthShift | uint32(r))
	b.x++
	if w == 2 {
		row.cells[b.x] = s.pen.cell.with(0)
		b.x++
	}
	row.touch(b.x)
}

// repeat is REP: the character before, n times.
func (s *Screen) repeat(n int) {
	if s.join == 0 || s.buf.x < s.join {
		return
	}
	text := s.appendText(nil, s.buf.row().cells[s.buf.x-s.join])
	for range min(n, maxRepeat) {
		for _, r := range string(text) {
			s.printRune(r)
		}
	}
}
