package screen

// cell is one place on the screen.
//
//	ch   0-20  code point, or index of a cluster if isCluster is set; 0 is a null
//	           cell: nothing was printed here, or it was erased
//	     21    isCluster
//	     22-23 width: 2 is followed by a cell of width 0 without content
//	fg   0-25  colour, 26-31 flags
//	bg   0-25  colour, 26-29 flags
//	ext  0-15  index into the table of looks, 29-31 style of the underline
type cell struct{ ch, fg, bg, ext uint32 }

const (
	isCluster   = 1 << 21
	codeMask    = isCluster - 1
	contentMask = isCluster | codeMask
	widthShift  = 22
	narrow      = 1 << widthShift

	colorMask   = 1<<26 - 1
	colorBasic  = 1 << 24 // 0-15
	color256    = 2 << 24 // 0-255
	colorRGB    = 3 << 24 // 0xRRGGBB
	colorKind   = 3 << 24
	fgInverse   = 1 << 26
	fgBold      = 1 << 27
	fgBlink     = 1 << 28
	fgConceal   = 1 << 29
	fgStrike    = 1 << 30
	bgItalic    = 1 << 26
	bgFaint     = 1 << 27
	bgProtected = 1 << 28
	bgOverline  = 1 << 29

	underlineShift = 29
	lookMask       = 1<<16 - 1
)

var nullCell = cell{ch: narrow}

func (c cell) width() int       { return int(c.ch >> widthShift) }
func (c cell) hasContent() bool { return c.ch&contentMask != 0 }
func (c cell) isHalf() bool     { return c.ch == 0 }

// pen returns a cell that looks like c but with content ch.
func (c cell) with(ch uint32) cell {
	c.ch = ch
	return c
}

// look is what few cells have: a colour of the underline, a link.
type look struct {
	color   uint32 // as in fg; 0 is the colour of the text
	link    string // URI; "" is none
	linkID  string // joins parts of a link
	anonyme uint32 // tells links without id apart
}

// style is how a cell looks, without reference to a table.
type style struct {
	fg, bg    uint32
	underline uint32 // 0 none, 1 single, 2 double, 3 curly, 4 dotted, 5 dashed
	look      look
}

// table keeps values that cells refer to by index; 0 is no value.
type table[V comparable] struct {
	values []V // [0] is not used
	index  map[V]uint32
	misses int // values refused since the table was last found to be full
}

// find returns the index of v, which it adds if there are fewer than most.
func (t *table[V]) find(v V, most int) (uint32, bool) {
	if i, ok := t.index[v]; ok {
		return i, true
	}
	if len(t.values) >= most {
		return 0, false
	}
	if t.index == nil {
		t.index, t.values = map[V]uint32{}, make([]V, 1)
	}
	i := uint32(len(t.values))
	t.values = append(t.values, v)
	t.index[v] = i
	return i, true
}
