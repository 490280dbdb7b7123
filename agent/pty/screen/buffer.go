package screen

// buffer is one of the two screens of a terminal, with what belongs to it.
type buffer struct {
	rows    []line   // empty while the alternate screen is not in use
	history *history // lines that left at the top; nil for the alternate screen

	x, y        int // cursor; x is the number of columns while a wrap is pending
	top, bottom int // scrolling region, inclusive
	tabs        []bool
	saved       savedCursor
	keyboards   []uint32 // stack of kitty keyboard flags; the last one counts
}

// savedCursor is what DECSC keeps.
type savedCursor struct {
	x       int
	y       int // from the start of the history: xterm.js lets it scroll away
	pen     pen
	charset charset
}

// base is the number of lines above the screen.
func (b *buffer) base() int {
	if b.history == nil {
		return 0
	}
	return b.history.len()
}

func (b *buffer) row() *line { return &b.rows[b.y] }

// resetTabs puts a stop at every eighth column.
func (b *buffer) resetTabs(cols int) {
	b.tabs = make([]bool, cols+1)
	for i := 0; i < cols; i += 8 {
		b.tabs[i] = true
	}
}

// growTabs goes on with stops at every eighth column, from the last one there is.
func (b *buffer) growTabs(cols int) {
	if cols+1 > len(b.tabs) {
		b.tabs = append(b.tabs, make([]bool, cols+1-len(b.tabs))...)
	}
	from := cols
	if !b.tabs[from] {
		from = b.prevTab(from, cols)
	}
	for ; from < cols; from += 8 {
		b.tabs[from] = true
	}
}

func (b *buffer) nextTab(x, cols int) int {
	for x++; x < cols && !b.tabs[x]; x++ {
	}
	return min(x, cols-1)
}

func (b *buffer) prevTab(x, cols int) int {
	for x--; x > 0 && !b.tabs[x]; x-- {
	}
	return min(max(x, 0), cols-1)
}

// scrollUp moves the lines of the region up by one; the first is lost, or
// joins the history if it was the first of the screen and keep is set.
func (b *buffer) scrollUp(s *Screen, fill cell, wrapped, keep bool) {
	out := b.rows[b.top]
	if keep && b.history != nil && b.top == 0 {
		b.history.push(s, out)
	}
	copy(b.rows[b.top:b.bottom], b.rows[b.top+1:b.bottom+1])
	b.putBlank(b.bottom, out, fill)
	b.rows[b.bottom].wrapped = wrapped
}

// scrollDown moves the lines from first to the end of the region down by one.
func (b *buffer) scrollDown(first int, fill cell) {
	out := b.rows[b.bottom]
	copy(b.rows[first+1:b.bottom+1], b.rows[first:b.bottom])
	b.putBlank(first, out, fill)
}

// putBlank puts the cells of old, made blank, at row y.
func (b *buffer) putBlank(y int, old line, fill cell) {
	old.wrapped = false
	old.fill(fill)
	b.rows[y] = old
}
