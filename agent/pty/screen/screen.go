package screen

// Screen is the state of a terminal. It is for one goroutine at a time.
type Screen struct {
	cols, rows int
	main, alt  buffer
	buf        *buffer // the one that is shown
	touched    bool    // something has been fed

	pen     pen
	join    int // width of the character before, while marks may join it; else 0
	modes   modes
	shift   shift
	names   names
	palette palette

	widths   *widthTable
	parser   parser
	clusters table[string]
	looks    table[look]
	// lookBytes is the text of all looks; links counts those without id.
	lookBytes int
	links     uint32
	work      [2][]cell // cells that are on no screen, while it is resized or written out

	feed feed
}

// New returns a fresh terminal of that size; see Clamp for what sizes there are.
func New(cols, rows int) *Screen {
	s := &Screen{widths: bmpWidths()}
	s.cols, s.rows = Clamp(cols, rows)
	s.reset()
	return s
}

// reset makes all as it is at the start, but for titles and colours.
func (s *Screen) reset() {
	s.pen, s.join, s.modes, s.shift = pen{}, 0, defaultModes, shift{}
	s.main = buffer{history: &history{}, bottom: s.rows - 1}
	s.main.rows = make([]line, s.rows)
	for i := range s.main.rows {
		s.main.rows[i] = newLine(s.cols, nullCell)
	}
	s.main.resetTabs(s.cols)
	s.alt = buffer{bottom: s.rows - 1}
	s.alt.resetTabs(s.cols)
	s.buf = &s.main
}

// Size returns the number of columns and rows.
func (s *Screen) Size() (cols, rows int) { return s.cols, s.rows }

// Title returns the title of the window as the program set it, 1 KiB at most.
// It may hold anything that is not a control character.
func (s *Screen) Title() string { return s.names.title }
