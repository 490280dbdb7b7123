package screen

// ideographicSpace is a wide character that shows nothing.
const ideographicSpace = "\u3000"

// lines writes the lines of b one below the other, the last one at the bottom.
// The pen has its default look before and after.
func (w *writer) lines(b *buffer) {
	cols, rows := w.s.cols, b.rows
	var packed [][]byte
	if b.history != nil {
		packed = b.history.all()
	}
	total := len(packed) + len(rows)
	at := func(i int) line {
		if i < len(packed) {
			return w.s.unpackShared(packed[i], cols, i&1)
		}
		return rows[i-len(packed)]
	}
	l := line{}
	if total > 0 {
		l = at(0)
	}
	lw := lineWriter{writer: w}
	if l.wrapped && w.s.rows > 1 {
		lw.continued(cols)
	}
	for i := range total {
		next := line{}
		if i+1 < total {
			next = at(i + 1)
		}
		if i == b.saved.y && i < len(packed) && b.saved != (savedCursor{}) {
			w.savedCursor(b, "\r") // it has left the screen, where xterm.js keeps it
		}
		lw.line(l.cells, next)
		if i+1 < total && !next.wrapped {
			w.look(style{}) // the new line must have no colour
			w.print("\r\n")
			lw.dirty = 0
		}
		l = next
	}
	w.look(style{})
	w.s.work = [2][]cell{} // what is there has no meaning to later sweeps
}

// lineWriter writes cells of lines. Cells left of dirty, which count from the
// start of the line, hold something that must be written over.
type lineWriter struct {
	*writer
	dirty int
}

// continued makes the first line one that continues another: the second half of
// a line that wraps, of which the first half is deleted.
func (w *lineWriter) continued(cols int) {
	w.column(cols - 1)
	w.print(ideographicSpace + "\x1b[H\x1b[M")
	w.dirty = 2
}

// line writes one line, and the wrap to the next if that continues it.
func (w *lineWriter) line(cells []cell, next line) {
	if last := len(cells) - 1; !next.wrapped && isStyledNull(cells[last]) {
		w.styledEnd(cells)
	}
	for x, c := range cells {
		if c.isHalf() && (x == 0 || cells[x-1].width() != 2) {
			w.half(cells, x)
		}
	}
	x := 0
	for x < len(cells) {
		switch {
		case cells[x].isHalf():
			w.column(x + 1)
			x++
		case cells[x].hasContent():
			x = w.text(cells, x)
		case !isStyledNull(cells[x]):
			x = w.nulls(cells, x)
		case x+1 < len(cells):
			x = w.styledNull(cells, x)
		default:
			x++ // styledEnd or wrap sees to it
		}
	}
	w.dirty = 0
	if next.wrapped {
		w.wrap(cells)
	}
}

// isStyledNull reports whether c is a null cell that looks like more than a
// background. Terminals make such when half of a wide character is printed over.
func isStyledNull(c cell) bool {
	return !c.hasContent() && c.with(narrow) != cell{ch: narrow, bg: c.bg & colorMask}
}

// text writes cells with content from x on that look alike.
func (w *lineWriter) text(cells []cell, x int) int {
	first := cells[x]
	w.look(w.s.styleOf(first))
	for x < len(cells) && cells[x].hasContent() && cells[x].with(0) == first.with(0) {
		c := cells[x]
		if c.width() == 0 { // a mark that belongs to nothing
			w.forceLook(w.s.styleOf(first))
		}
		w.out = w.s.appendText(w.out, c)
		n := max(c.width(), 1)
		if w.unsure(c) && x+n < len(cells) {
			w.column(x + n) // terminals disagree about its width
		}
		x += n
	}
	return x
}

// unsure reports whether terminals differ in how wide they take c to be.
func (w *lineWriter) unsure(c cell) bool {
	return c.width() != 1 || c.ch&isCluster != 0 || c.ch&codeMask > 0xffff
}

// nulls writes null cells from x on that look alike. The cursor is at x, and
// then behind them.
func (w *lineWriter) nulls(cells []cell, x int) int {
	first := cells[x]
	end := x + 1
	for end < len(cells) && cells[end] == first {
		end++
	}
	if first != nullCell || x < w.dirty {
		w.look(style{bg: first.bg})
		w.sequence(end-x, 'X')
	}
	if end < len(cells) {
		w.sequence(end-x, 'C')
	}
	return end
}

// styledNull writes a styled null cell at x, which is not the last column: a wide
// character whose second half is printed over.
func (w *lineWriter) styledNull(cells []cell, x int) int {
	w.look(w.s.styleOf(cells[x]))
	w.print(ideographicSpace)
	w.column(x + 1)
	w.print(" ")
	w.column(x + 1)
	w.dirty = max(w.dirty, x+2)
	return x + 1
}

// styledEnd writes a styled null cell in the last column, before the rest of the
// line is written: a wide character whose first half is printed over.
func (w *lineWriter) styledEnd(cells []cell) {
	last := len(cells) - 1
	w.column(last - 1)
	w.look(w.s.styleOf(cells[last]))
	w.print(ideographicSpace)
	w.column(last - 1)
	w.print(" \r")
	w.dirty = last
}

// half writes the second half of a wide character that has lost the first one,
// as inserting between the two leaves it, before the rest of the line is written.
func (w *lineWriter) half(cells []cell, x int) {
	at := max(x, 2)
	w.column(at - 2)
	w.look(w.s.styleOf(cells[x]))
	w.print(ideographicSpace)
	w.column(at - 1)
	w.sequence(1, '@')
	w.column(0)
	if at > x {
		w.sequence(at-x, 'P')
	}
	w.dirty = max(w.dirty, x)
}

// wrap brings the cursor to the start of the next line so that this continues
// the present one. A terminal does that only when something is printed behind
// the last column; if there is nothing in that, a wide character that does not
// fit leaves it so.
func (w *lineWriter) wrap(cells []cell) {
	last := len(cells) - 1
	if c := cells[last]; c.hasContent() || c.isHalf() {
		w.look(style{})
		w.print("x\r")
		w.dirty = 1
		return
	}
	w.column(last)
	w.look(w.s.styleOf(cells[last]))
	w.print(ideographicSpace + "\r")
	w.dirty = 2
	if w.now.bg&colorMask != 0 {
		w.dirty = len(cells) // the new line has the colour
	}
}

// cursor writes the position, the pen and whether a wrap is pending or a mark
// may join the character before the cursor. It comes last: after a character
// only its own kind keeps that.
func (w *writer) cursor() {
	s, b := w.s, w.s.buf
	y := b.y
	if s.modes.origin {
		y -= b.top
	}
	cells := b.rows[b.y].cells
	width := s.joined(cells)
	joined := width > 0
	if !joined && b.x < s.cols {
		w.printf("\x1b[%d;%dH", y+1, b.x+1)
		w.look(s.pen.style)
		return
	}
	if !joined { // a wrap is pending
		width = 1
		if cells[s.cols-1].isHalf() {
			width = 2
		}
	}
	c := cells[b.x-width]
	w.printf("\x1b[%d;%dH", y+1, b.x-width+1)
	if s.modes.insert {
		w.sequence(width, 'P')
	}
	if joined {
		w.look(s.pen.style)
	} else {
		w.look(s.styleOf(c))
	}
	if c.hasContent() {
		w.out = s.appendText(w.out, c)
	} else {
		w.print(" ")
	}
	if !joined {
		w.forceLook(s.pen.style)
	}
}

// joined returns the width of the character before the cursor if a mark may join
// it, else 0.
func (s *Screen) joined(cells []cell) int {
	at := s.buf.x - s.join
	if s.join == 0 || at < 0 || !cells[at].hasContent() || cells[at].with(0) != s.pen.cell {
		return 0
	}
	return s.join
}
