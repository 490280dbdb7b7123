package screen

// layout is the state of a reflow: all lines of the main screen, packed, and
// where in them the screen and the cursor are.
type layout struct {
	s          *Screen
	cols, rows int // new ones
	lines      [][]byte
	base       int // index of the first line on the screen
	y          int // of the cursor, from base
	savedY     int
}

// reflow wraps the lines of b for cols columns.
func (b *buffer) reflow(s *Screen, cols, rows int) {
	l := layout{s: s, cols: cols, rows: rows, base: b.base(), y: b.y, savedY: b.saved.y}
	l.lines = b.history.all()
	var room []byte
	for _, row := range b.rows {
		start := len(room)
		room = s.pack(room, row)
		l.lines = append(l.lines, room[start:len(room):len(room)])
	}
	if cols > s.cols {
		l.widen()
	} else {
		l.narrow()
	}
	b.y, b.saved.y = l.y, l.savedY
	l.rebuild(b)
}

// rebuild makes the lines those of b.
func (l *layout) rebuild(b *buffer) {
	b.history = &history{}
	for _, packed := range l.lines[:l.base] {
		b.history.pushPacked(l.shorten(packed))
	}
	b.rows = make([]line, 0, l.rows)
	for i := l.base; i < len(l.lines) && len(b.rows) < l.rows; i++ {
		row := l.s.unpack(l.lines[i], l.cols)
		row.resize(l.cols)
		b.rows = append(b.rows, row)
	}
	for len(b.rows) < l.rows {
		b.rows = append(b.rows, newLine(l.cols, nullCell))
	}
}

// shorten cuts what is beyond the last column off a line that was left as it was.
func (l *layout) shorten(packed []byte) []byte {
	if total, _ := packedLen(packed); total <= l.cols {
		return packed
	}
	row := l.s.unpack(packed, l.cols)
	row.resize(l.cols)
	return l.s.pack(nil, row)
}

func isWrapped(packed []byte) bool { return packed[0]&flagWrapped != 0 }

// group is a line with those that continue it.
type group struct {
	first int
	lines []line
	cells []cell // all of it, without the ends of lines that a wide character did not fit in
}

// group unpacks the lines from first up to end.
func (l *layout) group(first, end, oldCols int) group {
	g := group{first: first}
	for _, packed := range l.lines[first:end] {
		l.s.unpackInto(packed, oldCols, 0)
	}
	work := l.s.work[0]
	for i := first; i < end; i++ {
		total, _ := packedLen(l.lines[i])
		n := max(oldCols, total)
		g.lines = append(g.lines, line{cells: work[:n:n], wrapped: isWrapped(l.lines[i])})
		work = work[n:]
	}
	for i := range g.lines {
		g.cells = append(g.cells, g.lines[i].cells[:g.used(i, oldCols)]...)
	}
	l.s.work[0] = l.s.work[0][:0]
	return g
}

// used is how many cells of line i count.
func (g *group) used(i, oldCols int) int {
	if i == len(g.lines)-1 {
		return g.lines[i].length()
	}
	if last := g.lines[i].cells[oldCols-1]; !last.hasContent() && last.width() == 1 && g.lines[i+1].cells[0].width() == 2 {
		return oldCols - 1
	}
	return oldCols
}

// lengths returns how cells are spread over lines of cols columns.
func lengths(cells []cell, cols int) []int {
	var out []int
	for len(cells) > 0 {
		n := min(cols, len(cells))
		if n == cols && cells[n-1].width() == 2 {
			n--
		}
		out = append(out, n)
		cells = cells[n:]
	}
	return out
}

// widen joins lines that fit together now.
func (l *layout) widen() {
	var out [][]byte
	removed := 0
	for first := 0; first < len(l.lines); {
		end := l.groupEnd(first)
		if cursor := l.base + l.y; end == first+1 || (cursor >= first && cursor < end) {
			out = append(out, l.lines[first:end]...)
		} else {
			joined := l.join(l.group(first, end, l.s.cols))
			removed += end - first - len(joined)
			out = append(out, joined...)
		}
		first = end
	}
	l.lines = out
	for range removed {
		switch {
		case l.base > 0:
			l.base--
		default:
			l.y = max(l.y-1, 0)
		}
	}
	l.savedY = max(l.savedY-removed, 0)
}

// groupEnd returns where the group that starts at first ends; one of more than
// maxReflow cells is taken for several.
func (l *layout) groupEnd(first int) int {
	end := first + 1
	for end < len(l.lines) && isWrapped(l.lines[end]) && (end-first)*max(l.cols, l.s.cols) < maxReflow {
		end++
	}
	return end
}

// join returns the lines of g, packed, as few as possible.
func (l *layout) join(g group) [][]byte {
	var out [][]byte
	cells := g.cells
	for i, n := range lengths(cells, l.cols) {
		out = append(out, l.s.pack(nil, line{cells: cells[:n], used: n, wrapped: i > 0 || g.lines[0].wrapped}))
		cells = cells[n:]
	}
	for len(out) > 1 && (&line{cells: l.s.unpack(out[len(out)-1], l.cols).cells}).length() == 0 {
		out = out[:len(out)-1]
	}
	if len(out) == 0 {
		out = append(out, l.s.pack(nil, line{wrapped: g.lines[0].wrapped}))
	}
	return out
}

// narrow wraps lines that do not fit any more, from the last to the first. What
// that adds pushes lines below the cursor off the screen, then lines above it
// into the history.
func (l *layout) narrow() {
	n := narrowing{layout: l, count: len(l.lines), most: maxLines + l.rows}
	for end := len(l.lines); end > 0; {
		first := l.groupStart(end)
		cursor := l.base + l.y
		_, length := packedLen(l.lines[first])
		if (end == first+1 && length <= l.cols) || (cursor >= first && cursor < end) {
			n.put(l.lines[first:end], first, end)
		} else {
			split := l.split(l.group(first, end, l.s.cols))
			n.grow(len(split) - (end - first))
			n.put(split, first, end)
		}
		end = first
	}
	l.lines = n.result()
	l.base = min(l.base, len(l.lines))
}

// narrowing is the state of narrow.
type narrowing struct {
	*layout
	most     int      // lines there may be
	count    int      // of the old lines, those that are still there: the last ones go first
	inserted int      // lines added
	reversed [][]byte // new lines, the last one first
	index    []int    // which old line each of them is; -1 for an added one
}

// put adds the lines that the old ones from first up to end have become.
func (n *narrowing) put(lines [][]byte, first, end int) {
	for i := len(lines) - 1; i >= 0; i-- {
		n.reversed = append(n.reversed, lines[i])
		if first+i < end {
			n.index = append(n.index, first+i)
		} else {
			n.index = append(n.index, -1)
		}
	}
}

// grow moves the screen and the cursor for added lines.
func (n *narrowing) grow(added int) {
	full := n.count - n.most + added
	if n.base == 0 && n.y != n.count-1 {
		full = n.y - n.most + added
	}
	n.inserted += added
	for range added - max(full, 0) {
		switch {
		case n.base == 0 && n.y < n.rows-1:
			n.y++
			n.count--
		case n.base == 0 || n.base < min(n.most, n.count+n.inserted)-n.rows:
			n.base++
		}
	}
	n.savedY = min(n.savedY+added, n.base+n.rows-1)
}

func (n *narrowing) result() [][]byte {
	var out [][]byte
	for i := len(n.reversed) - 1; i >= 0; i-- {
		if n.index[i] < n.count {
			out = append(out, n.reversed[i])
		}
	}
	return out[max(len(out)-n.most, 0):]
}

func (l *layout) groupStart(end int) int {
	first := end - 1
	for first > 0 && isWrapped(l.lines[first]) && (end-first)*l.s.cols < maxReflow {
		first--
	}
	return first
}

// split returns the lines of g, packed, each as long as fits.
func (l *layout) split(g group) [][]byte {
	var out [][]byte
	cells := g.cells
	spread := lengths(cells, l.cols)
	for i := range max(len(spread), len(g.lines)) {
		row := newLine(l.cols, nullCell)
		row.wrapped = true
		if i < len(g.lines) {
			row.wrapped = g.lines[i].wrapped
			copy(row.cells, g.lines[i].cells)
		}
		if i < len(spread) {
			n := copy(row.cells, cells[:spread[i]])
			if n < l.cols {
				row.cells[n] = nullCell
			}
			cells = cells[n:]
		}
		row.used = l.cols
		out = append(out, l.s.pack(nil, row))
	}
	return out
}
