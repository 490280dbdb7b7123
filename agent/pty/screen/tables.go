package screen

// cluster returns the index of a character with marks; false when there is no
// room for it.
func (s *Screen) cluster(text string) (uint32, bool) {
	if i, ok := s.clusters.find(text, maxClusters); ok {
		return i, true
	}
	if !s.due(&s.clusters.misses) {
		return 0, false
	}
	s.sweepClusters()
	return s.clusters.find(text, maxClusters)
}

// lookIndex returns the index of l; 0 when there is nothing to it or no room.
func (s *Screen) lookIndex(l look) uint32 {
	if l == (look{}) {
		return 0
	}
	size := len(l.link) + len(l.linkID)
	if _, known := s.looks.index[l]; !known && s.lookBytes+size > maxLinkBytes {
		if !s.due(&s.looks.misses) {
			return 0
		}
		s.sweepLooks()
		if s.lookBytes+size > maxLinkBytes {
			return 0
		}
	}
	before := len(s.looks.values)
	i, ok := s.looks.find(l, maxLooks)
	if !ok && s.due(&s.looks.misses) {
		s.sweepLooks()
		before = len(s.looks.values)
		i, ok = s.looks.find(l, maxLooks)
	}
	if !ok {
		return 0
	}
	if len(s.looks.values) > before {
		s.lookBytes += size
	}
	return i
}

// due reports whether a full table is worth being swept: not again and again
// when all of it is in use.
func (s *Screen) due(misses *int) bool {
	*misses++
	return *misses%1024 == 1
}

// eachCell calls f with every cell that refers to a table.
func (s *Screen) eachCell(f func(c *cell)) {
	for _, b := range []*buffer{&s.main, &s.alt} {
		for _, l := range b.rows {
			for i := range l.cells {
				f(&l.cells[i])
			}
		}
	}
	for _, cells := range s.work {
		for i := range cells {
			f(&cells[i])
		}
	}
}

// sweepClusters keeps only those clusters that are on the screen.
func (s *Screen) sweepClusters() {
	old := s.clusters
	s.clusters = table[string]{misses: old.misses}
	s.eachCell(func(c *cell) {
		if c.ch&isCluster != 0 {
			i, _ := s.clusters.find(old.values[c.ch&codeMask], maxClusters)
			c.ch = c.ch&^codeMask | i
		}
	})
}

// sweepLooks keeps only those looks that are on the screen.
func (s *Screen) sweepLooks() {
	old := s.looks
	s.looks, s.lookBytes = table[look]{misses: old.misses}, 0
	keep := func(c *cell) {
		if at := c.ext & lookMask; at != 0 {
			before := len(s.looks.values)
			l := old.values[at]
			i, _ := s.looks.find(l, maxLooks)
			if len(s.looks.values) > max(before, 1) {
				s.lookBytes += len(l.link) + len(l.linkID)
			}
			c.ext = c.ext&^lookMask | i
		}
	}
	s.eachCell(keep)
	s.pen.refresh(s)
}

func (s *Screen) lookOf(c cell) look {
	if i := c.ext & lookMask; i != 0 {
		return s.looks.values[i]
	}
	return look{}
}

// styleOf returns how c looks.
func (s *Screen) styleOf(c cell) style {
	return style{fg: c.fg, bg: c.bg, underline: c.ext >> underlineShift, look: s.lookOf(c)}
}

// cellOf returns a cell without content that looks like st.
func (s *Screen) cellOf(st style) cell {
	return cell{fg: st.fg, bg: st.bg, ext: st.underline<<underlineShift | s.lookIndex(st.look)}
}
