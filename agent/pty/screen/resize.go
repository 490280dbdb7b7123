package screen

// Resize changes the size; see Clamp for what sizes there are. The main screen
// is reflowed as xterm.js does it: wrapped lines are joined and wrapped anew, but
// for the one with the cursor, which its program redraws. The alternate screen
// is cut or filled.
func (s *Screen) Resize(cols, rows int) {
	cols, rows = Clamp(cols, rows)
	if cols == s.cols && rows == s.rows {
		return
	}
	s.main.resize(s, cols, rows)
	s.alt.resize(s, cols, rows)
	if cols != s.cols {
		s.main.reflow(s, cols, rows)
	}
	s.cols, s.rows = cols, rows
	s.main.growTabs(cols)
	s.alt.growTabs(cols)
}

// resize gives b the new size, but for the lines of main, if they get shorter.
func (b *buffer) resize(s *Screen, cols, rows int) {
	if len(b.rows) > 0 {
		b.y = min(b.y, s.rows-1)
		down := b.setRows(s, max(cols, s.cols), rows)
		b.x = min(b.x, cols-1)
		b.y = min(b.y, rows-1) + down
		b.saved.x = min(b.saved.x, cols-1)
		b.top = 0
		for i := range b.rows {
			if b.history == nil || cols > s.cols {
				b.rows[i].resize(cols)
			}
		}
	}
	b.bottom = rows - 1
}

// setRows adds or takes rows: below the cursor while there are any, else at the
// top, from or into the history. It returns how far the cursor moves down.
func (b *buffer) setRows(s *Screen, cols, rows int) (down int) {
	for len(b.rows) < rows {
		if b.base() > 0 && len(b.rows) <= b.y+down+1 {
			b.rows = append([]line{b.history.pop(s, cols)}, b.rows...)
			down++
		} else {
			b.rows = append(b.rows, newLine(cols, nullCell))
		}
	}
	for len(b.rows) > rows {
		switch {
		case len(b.rows) > b.y+1:
			b.rows = b.rows[:len(b.rows)-1]
			continue
		case b.history != nil:
			full := b.history.len()
			b.history.push(s, b.rows[0])
			b.saved.y = max(b.saved.y-(full+1-b.history.len()), 0)
		default:
			b.saved.y = max(b.saved.y-1, 0)
		}
		b.rows = append([]line(nil), b.rows[1:]...)
		b.y--
	}
	return down
}
