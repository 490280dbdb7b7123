package screen

import (
	"encoding/binary"
	"unicode/utf8"
)

// A packed line is a byte of flags and then runs of cells that look alike:
//
//	uvarint  number of cells << 2 | kind
//	byte     which of the following are there: 1 fg, 2 bg, 4 underline and link
//	4 bytes  fg, little-endian
//	4 bytes  bg
//	1 byte   style of the underline; uvarint its colour, uvarint and bytes of
//	         the link, the same of its id, uvarint number of a link without id
//	cells    kind 0: a byte each, ASCII; kind 1: nothing, null cells; kind 2: a
//	         byte of width, a byte of length and the UTF-8 of each
//
// Null cells at the end that look like nothing are left out.
const (
	runASCII = iota
	runNull
	runAny

	flagWrapped = 1

	hasFg  = 1
	hasBg  = 2
	hasExt = 4
)

// pack appends l to out.
func (s *Screen) pack(out []byte, l line) []byte {
	start := len(out)
	out = s.packRuns(out, l, true)
	if len(out)-start > maxPackedLine {
		out = s.packRuns(out[:start], l, false)
	}
	return out
}

func (s *Screen) packRuns(out []byte, l line, links bool) []byte {
	flags := byte(0)
	if l.wrapped {
		flags = flagWrapped
	}
	out = append(out, flags)
	end := l.used
	for end > 0 && l.cells[end-1] == nullCell {
		end--
	}
	for x := 0; x < end; {
		n, kind := run(l.cells[x:end])
		out = s.packRun(out, l.cells[x:x+n], kind, links)
		x += n
	}
	return out
}

// run returns how many cells at the start look alike and are of one kind.
func run(cells []cell) (int, int) {
	first := cells[0]
	kind := kindOf(first)
	n := 1
	if kind == runASCII {
		for n < len(cells) && cells[n].fg == first.fg && cells[n].bg == first.bg && cells[n].ext == first.ext && cells[n].ch-(narrow|1) < 0x7e {
			n++
		}
		return n, kind
	}
	for n < len(cells) && cells[n].with(0) == first.with(0) && kindOf(cells[n]) == kind {
		n++
	}
	return n, kind
}

func kindOf(c cell) int {
	switch {
	case c.ch == narrow:
		return runNull
	case c.ch-(narrow|1) < 0x7e:
		return runASCII
	}
	return runAny
}

func (s *Screen) packRun(out []byte, cells []cell, kind int, links bool) []byte {
	out = binary.AppendUvarint(out, uint64(len(cells))<<2|uint64(kind))
	out = s.packLook(out, cells[0], links)
	switch kind {
	case runASCII:
		for _, c := range cells {
			out = append(out, byte(c.ch))
		}
	case runAny:
		for _, c := range cells {
			out = append(out, byte(c.width()), 0)
			at := len(out)
			out = s.appendText(out, c)
			out[at-1] = byte(len(out) - at)
		}
	}
	return out
}

func (s *Screen) packLook(out []byte, c cell, links bool) []byte {
	at := len(out)
	out = append(out, 0)
	if c.fg != 0 {
		out[at] |= hasFg
		out = binary.LittleEndian.AppendUint32(out, c.fg)
	}
	if c.bg != 0 {
		out[at] |= hasBg
		out = binary.LittleEndian.AppendUint32(out, c.bg)
	}
	if c.ext != 0 {
		out[at] |= hasExt
		l := s.lookOf(c)
		if !links {
			l = look{color: l.color}
		}
		out = append(out, byte(c.ext>>underlineShift))
		out = binary.AppendUvarint(out, uint64(l.color))
		out = appendString(out, l.link)
		out = appendString(out, l.linkID)
		out = binary.AppendUvarint(out, uint64(l.anonyme))
	}
	return out
}

func appendString(out []byte, s string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(s))), s...)
}

// unpacker reads a packed line run by run.
type unpacker struct{ in []byte }

func (u *unpacker) uvarint() uint64 {
	v, n := binary.Uvarint(u.in)
	u.in = u.in[n:]
	return v
}

func (u *unpacker) uint32() uint32 {
	v := binary.LittleEndian.Uint32(u.in)
	u.in = u.in[4:]
	return v
}

func (u *unpacker) byte() byte {
	b := u.in[0]
	u.in = u.in[1:]
	return b
}

func (u *unpacker) string(n int) string {
	s := string(u.in[:n])
	u.in = u.in[n:]
	return s
}

// run returns the length, kind and look of the next run.
func (u *unpacker) run() (n, kind int, st style) {
	head := u.uvarint()
	which := u.byte()
	if which&hasFg != 0 {
		st.fg = u.uint32()
	}
	if which&hasBg != 0 {
		st.bg = u.uint32()
	}
	if which&hasExt != 0 {
		st.underline = uint32(u.byte())
		st.look.color = uint32(u.uvarint())
		st.look.link = u.string(int(u.uvarint()))
		st.look.linkID = u.string(int(u.uvarint()))
		st.look.anonyme = uint32(u.uvarint())
	}
	return int(head >> 2), int(head & 3), st
}

// unpack returns a packed line with at least cols cells. Marks and links for
// which there is no room in the tables are left out.
func (s *Screen) unpack(packed []byte, cols int) line {
	l := s.unpackShared(packed, cols, 0)
	l.cells = append([]cell(nil), l.cells...)
	s.work[0] = s.work[0][:0]
	return l
}

// unpackShared does so in memory that is used again by the next call with the
// same number.
func (s *Screen) unpackShared(packed []byte, cols, which int) line {
	s.work[which] = s.work[which][:0]
	s.unpackInto(packed, cols, which)
	cells := s.work[which]
	return line{wrapped: isWrapped(packed), cells: cells, used: len(cells)}
}

// unpackInto appends the cells to s.work, where the tables know of them.
func (s *Screen) unpackInto(packed []byte, cols, which int) {
	w := &s.work[which]
	end := len(*w) + cols
	for u := (unpacker{packed[1:]}); len(u.in) > 0; {
		n, kind, st := u.run()
		at := len(*w)
		*w = append(*w, s.cellOf(st)) // the tables may be swept from here on
		for i := range n {
			content := s.unpackContent(&u, kind)
			if i > 0 {
				*w = append(*w, (*w)[at])
			}
			last := &(*w)[at+i]
			*last = last.with(content)
		}
	}
	for len(*w) < end {
		*w = append(*w, nullCell)
	}
}

// packedLen returns the number of cells of a packed line, without the null ones
// at its end that look like nothing, and without any null ones at its end.
func packedLen(packed []byte) (total, content int) {
	for u := (unpacker{packed[1:]}); len(u.in) > 0; {
		n, kind, _ := u.run()
		total += n
		if kind != runNull {
			content = total
		}
		switch kind {
		case runASCII:
			u.in = u.in[n:]
		case runAny:
			for range n {
				u.in = u.in[2+int(u.in[1]):]
			}
		}
	}
	return total, content
}

func (s *Screen) unpackContent(u *unpacker, kind int) uint32 {
	switch kind {
	case runASCII:
		return narrow | uint32(u.byte())
	case runNull:
		return narrow
	}
	width := uint32(u.byte()) << widthShift
	text := u.string(int(u.byte()))
	if text == "" {
		return width
	}
	return width | s.content(text)
}

// content returns the code point or the index of the cluster for text.
func (s *Screen) content(text string) uint32 {
	r, n := utf8.DecodeRuneInString(text)
	if n == len(text) {
		return uint32(r)
	}
	if i, ok := s.cluster(text); ok {
		return isCluster | i
	}
	return uint32(r)
}

// appendText appends what c shows.
func (s *Screen) appendText(out []byte, c cell) []byte {
	switch {
	case c.ch&isCluster != 0:
		return append(out, s.clusters.values[c.ch&codeMask]...)
	case c.ch&codeMask != 0:
		return utf8.AppendRune(out, rune(c.ch&codeMask))
	}
	return out
}
