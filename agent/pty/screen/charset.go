package screen

// charset is one of the sets that ISO 2022 lets programs choose from. National
// sets other than the British one are taken for ASCII: their users have moved
// to UTF-8.
type charset uint8

const (
	charsetASCII charset = iota
	charsetGraphics
	charsetBritish
)

// graphics are the DEC line drawing characters for 0x60 to 0x7e.
var graphics = [...]rune{
	'◆', '▒', '␉', '␌', '␍', '␊', '°', '±', '␤', '␋', '┘', '┐', '┌', '└', '┼', '⎺',
	'⎻', '─', '⎼', '⎽', '├', '┤', '┴', '┬', '│', '≤', '≥', 'π', '≠', '£', '·',
}

func (c charset) translate(r rune) rune {
	switch {
	case c == charsetGraphics && r >= 0x60 && r <= 0x7e:
		return graphics[r-0x60]
	case c == charsetBritish && r == '#':
		return '£'
	}
	return r
}

// charsets are the final bytes of designations.
var charsets = map[rune]charset{
	'0': charsetGraphics, 'A': charsetBritish, 'B': charsetASCII,
	'4': charsetASCII, 'C': charsetASCII, '5': charsetASCII, 'R': charsetASCII, 'Q': charsetASCII,
	'K': charsetASCII, 'Y': charsetASCII, 'E': charsetASCII, '6': charsetASCII, 'Z': charsetASCII,
	'H': charsetASCII, '7': charsetASCII, '=': charsetASCII,
}

// final is the byte that designates c.
func (c charset) final() byte { return "B0A"[c] }

// shift is which sets are designated and which of them is used. After DECRC the
// active one may be none of them.
type shift struct {
	sets   [4]charset
	level  int
	active charset
}

func (s *shift) use(level int) { s.level, s.active = level, s.sets[level] }

func (s *shift) designate(g int, c charset) {
	s.sets[g] = c
	if s.level == g {
		s.active = c
	}
}
