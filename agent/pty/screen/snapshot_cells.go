package screen

// ideographicSpace is a wide character that shows nothing.
const ideographicSpace = "\u3000"

// lines writes lines one below the other, the last one at the bottom. The pen
// has its default look before and after.
func (w *writer) lines(packed [][]byte, rows []line) {
	cols := w.s.cols
	total := len(packed) + len(rows)
	at := func(i int) line {
		if i < len(packed) {
			return w.s.unpack(packed[i], cols)
		}
		return rows[i-len(packed)]
	}
	l := line{}
	if total > 0 {
		l = at(0)
	}
	lw := lineWriter{writer: w}
	for i := range total {
		next := line{}
		if i+1 < total {
			next = at(i + 1)
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
}

// lineWriter writes cells of lines. Cells left of dirty, which count from the
// start of the line, hold something that must be written over.
type lineWriter struct {
	*writer
	dirty int
}

// line writes one line, and the wrap to the next if that continues it.
func (w *lineWriter) line(cells []cell, next line) {
	x := 0
	for x < len(cells) {
		if cells[x].hasContent() {
			x = w.text(cells, x)
		} else {
			x = w.nulls(cells, x)
		}
	}
	w.dirty = 0
	if next.wrapped {
		w.wrap(cells, next)
	}
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
	plain := first.with(narrow) == cell{ch: narrow, bg: first.bg & colorMask}
	switch {
	case first == nullCell && x >= w.dirty && end == len(cells):
		return end
	case first == nullCell && x >= w.dirty:
		w.sequence(end-x, 'C')
		return end
	case !plain:
		return w.styledNull(cells, x)
	}
	w.look(style{bg: first.bg})
	w.sequence(end-x, 'X')
	if end < len(cells) {
		w.sequence(end-x, 'C')
	}
	return end
}

// styledNull writes one null cell at x that looks like more than a background.
// Terminals make such when half of a wide character is printed over.
func (w *lineWriter) styledNull(cells []cell, x int) int {
	st := w.s.styleOf(cells[x])
	if x+1 == len(cells) {
		w.look(style{bg: st.bg & colorMask})
		w.sequence(1, 'X')
		return x + 1
	}
	w.look(st)
	w.print(ideographicSpace)
	w.column(x + 1)
	w.print(" ")
	w.column(x + 1)
	w.dirty = max(w.dirty, x+2)
	return x + 1
}

// wrap brings the cursor to the start of the next line so that this continues
// the present one. A terminal does that only when something is printed behind
// the last column.
func (w *lineWriter) wrap(cells []cell, next line) {
	last := len(cells) - 1
	natural := cells[last].hasContent() || cells[last].isHalf()
	lookNow := w.now
	if wide := next.cells[0]; !natural && wide.width() == 2 && wide.with(0) == cells[last].with(0) {
		w.look(w.s.styleOf(wide)) // it did not fit, which made the last cell null
		w.out = append(w.s.appendText(w.out, wide), '\r')
		w.dirty = 2
		return
	}
	if !natural {
		w.column(last)
		w.look(style{})
		w.print("x")
	}
	w.look(style{})
	w.print("x\r")
	w.dirty = 1
	if natural {
		w.look(lookNow)
		return
	}
	w.sequence(1, 'A')
	w.column(last)
	w.look(style{bg: cells[last].bg & colorMask})
	w.sequence(1, 'X')
	w.sequence(1, 'B')
	w.column(0)
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
	at := min(b.x, s.cols-1)
	width := s.join
	cells := b.rows[b.y].cells
	if b.x >= s.cols && width == 0 {
		width = 1
		if cells[s.cols-1].isHalf() {
			width = 2
		}
	}
	if width > b.x {
		width = 0
	}
	if width > 0 {
		at = b.x - width
	}
	w.printf("\x1b[%d;%dH", y+1, at+1)
	if width == 0 {
		w.look(s.pen.style)
		return
	}
	c := cells[at]
	if s.modes.insert {
		w.sequence(width, 'P')
	}
	w.look(w.styleBefore(c))
	if c.hasContent() {
		w.out = s.appendText(w.out, c)
	} else {
		w.print(" ")
	}
	if s.join == 0 || w.now != s.pen.style {
		w.look(s.pen.style)
	}
	if s.join == 0 {
		w.forceLook(s.pen.style)
	}
}

// styleBefore is how c looks; if it looks like the pen, it is the pen, which may
// hold what cells do not.
func (w *writer) styleBefore(c cell) style {
	if c.with(0) == w.s.pen.cell {
		return w.s.pen.style
	}
	return w.s.styleOf(c)
}
