package screen

// line is one row of cells.
type line struct {
	cells   []cell
	used    int  // from here on all cells are nullCell
	wrapped bool // continues the line above
}

func newLine(cols int, fill cell) line {
	l := line{cells: make([]cell, cols), used: cols}
	l.fill(fill)
	return l
}

// fill makes all cells c.
func (l *line) fill(c cell) {
	cells := l.cells
	if c == nullCell {
		cells = cells[:l.used]
		l.used = 0
	} else {
		l.used = len(l.cells)
	}
	for i := range cells {
		cells[i] = c
	}
}

// touch notes that cells up to end may be others than nullCell.
func (l *line) touch(end int) { l.used = max(l.used, min(end, len(l.cells))) }

// erase puts fill into cells from start up to end; of wide characters that are
// cut the other half becomes null too.
func (l *line) erase(start, end int, fill cell, keepProtected bool) {
	if fill != nullCell {
		l.touch(end + 1)
	}
	spared := func(i int) bool { return keepProtected && l.cells[i].bg&bgProtected != 0 }
	if start > 0 && l.cells[start-1].width() == 2 && !spared(start-1) {
		l.cells[start-1] = fill
	}
	if end > 0 && end < len(l.cells) && l.cells[end-1].width() == 2 && !spared(end) {
		l.cells[end] = fill
	}
	for i := start; i < min(end, len(l.cells)); i++ {
		if !spared(i) {
			l.cells[i] = fill
		}
	}
}

// insert moves the cells from x on to the right by n.
func (l *line) insert(x, n int, fill cell) {
	l.used = len(l.cells)
	x %= len(l.cells)
	if x > 0 && l.cells[x-1].width() == 2 {
		l.cells[x-1] = fill
	}
	n = min(n, len(l.cells)-x)
	copy(l.cells[x+n:], l.cells[x:])
	for i := x; i < x+n; i++ {
		l.cells[i] = fill
	}
	if last := len(l.cells) - 1; l.cells[last].width() == 2 {
		l.cells[last] = fill
	}
}

// remove takes n cells from x on out; the rest moves left.
func (l *line) remove(x, n int, fill cell) {
	l.used = len(l.cells)
	x %= len(l.cells)
	n = min(n, len(l.cells)-x)
	copy(l.cells[x:], l.cells[x+n:])
	for i := len(l.cells) - n; i < len(l.cells); i++ {
		l.cells[i] = fill
	}
	if x > 0 && l.cells[x-1].width() == 2 {
		l.cells[x-1] = fill
	}
	if l.cells[x].isHalf() {
		l.cells[x] = fill
	}
}

// resize makes the line as long as cols; what is beyond is lost.
func (l *line) resize(cols int) {
	if cols <= len(l.cells) {
		l.cells = l.cells[:cols:cols]
		l.used = min(l.used, cols)
		return
	}
	cells := make([]cell, cols)
	for i := copy(cells, l.cells); i < cols; i++ {
		cells[i] = nullCell
	}
	l.cells = cells
}

// length is that of the line without the null cells at its end.
func (l *line) length() int {
	for i := len(l.cells) - 1; i >= 0; i-- {
		if l.cells[i].hasContent() {
			return i + l.cells[i].width()
		}
	}
	return 0
}
