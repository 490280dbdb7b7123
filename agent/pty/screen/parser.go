package screen

// state is where the parser is in a control sequence.
//
//	ESC [ ? 1 ; 2 $ p      ESC ] 0 ; title BEL      ESC P $ q m ESC \
//	    │ │     │ └ dispatch   └ oscString              │ │ │ └ dcsData
//	    │ └ csiParam └ csiInter              dcsEntry ──┘ └ dcsInter
//	    └ csiEntry
type state uint8

const (
	ground state = iota
	escape
	escInter
	csiEntry
	csiParam
	csiInter
	csiIgnore
	ignoredString // SOS, PM, APC
	oscString
	dcsEntry
	dcsParam
	dcsInter
	dcsIgnore
	dcsData
)

// parser holds the control sequence that is being read. The machine is the one
// of Paul Williams for DEC terminals, over code points, as xterm.js has it.
type parser struct {
	state state

	params  [32]int32
	n       int // parameters; there is always one, 0 if not given
	subs    [32]int32
	subEnd  [32]uint8 // where the subparameters of each parameter end in subs
	nsub    int
	inSub   bool
	tooMany bool
	collect uint32 // prefix and intermediates, 8 bits each

	text     []byte // of an OSC or DCS
	overlong bool   // there was more of it than is kept
}

func (p *parser) clear() {
	p.params[0], p.subEnd[0] = 0, 0
	p.n, p.nsub, p.collect = 1, 0, 0
	p.inSub, p.tooMany = false, false
}

func (p *parser) startText() {
	p.text, p.overlong = p.text[:0], false
}

func (p *parser) put(r rune) {
	if len(p.text) >= maxString {
		p.overlong = true
		return
	}
	p.text = appendRune(p.text, r)
}

// param reads a byte of the parameters: a digit, ';' or ':'.
func (p *parser) param(r rune) {
	switch r {
	case ';':
		p.inSub = false
		if p.n == len(p.params) {
			p.tooMany = true
			return
		}
		p.params[p.n], p.subEnd[p.n] = 0, uint8(p.nsub)
		p.n++
	case ':':
		p.inSub = true
		if p.tooMany || p.nsub == len(p.subs) {
			p.tooMany = true
			return
		}
		p.subs[p.nsub] = -1
		p.nsub++
		p.subEnd[p.n-1] = uint8(p.nsub)
	default:
		p.digit(int32(r - '0'))
	}
}

func (p *parser) digit(d int32) {
	if p.tooMany {
		return
	}
	v := &p.params[p.n-1]
	if p.inSub {
		v = &p.subs[p.nsub-1]
	}
	if *v < 0 {
		*v = 0
	}
	const most = 1<<31 - 1
	if *v > (most-d)/10 {
		*v = most
		return
	}
	*v = *v*10 + d
}

// sub returns the subparameters of parameter i; -1 is one that is not given.
func (p *parser) sub(i int) []int32 {
	start := uint8(0)
	if i > 0 {
		start = p.subEnd[i-1]
	}
	return p.subs[start:p.subEnd[i]]
}

// arg returns parameter i, or otherwise if it is 0 or not given.
func (p *parser) arg(i, otherwise int) int {
	if i < p.n && p.params[i] != 0 {
		return int(p.params[i])
	}
	return otherwise
}

// inString reports whether what is read is kept as text or thrown away until
// the end of a string.
func (p *parser) inString() bool {
	switch p.state {
	case ignoredString, oscString, dcsIgnore, dcsData, dcsEntry, dcsParam, dcsInter:
		return true
	}
	return false
}

// step reads one code point of a control sequence, or one that begins one.
func (s *Screen) step(r rune) {
	p := &s.parser
	switch {
	case r == 0x1b:
		s.endString(true)
		p.clear()
		p.state = escape
	case r == 0x18 || r == 0x1a:
		s.endString(false)
		s.execute(r)
		p.state = ground
	case r >= 0x80 && r < 0xa0:
		s.control8(r)
	default:
		s.stepIn(r)
	}
}

// endString ends an OSC or DCS, which is acted upon if it is whole.
func (s *Screen) endString(whole bool) {
	p := &s.parser
	if p.state == oscString || p.state == dcsData {
		if whole && !p.overlong {
			s.dispatchString(p.state)
		}
		s.join = 0
		p.clear()
	}
	p.state = ground
}

// control8 is a C1 control, which is what it is in any state.
func (s *Screen) control8(r rune) {
	p := &s.parser
	switch r {
	case 0x9c:
		s.endString(true)
	case 0x9d:
		p.startText()
		p.state = oscString
	case 0x98, 0x9e, 0x9f:
		p.state = ignoredString
	case 0x9b:
		p.clear()
		p.state = csiEntry
	case 0x90:
		p.clear()
		p.state = dcsEntry
	default:
		p.state = ground
		s.execute(r)
	}
}

// stepIn reads a code point that is none of those which end any sequence.
func (s *Screen) stepIn(r rune) {
	p := &s.parser
	switch p.state {
	case escape:
		s.stepEscape(r)
	case escInter:
		switch {
		case r < 0x20:
			s.execute(r)
		case r < 0x30:
			p.collect = p.collect<<8 | uint32(r)
		case r < 0x7f:
			s.dispatchEscape(r)
		default:
			p.state = ground
		}
	case csiEntry, csiParam, csiInter, csiIgnore:
		s.stepCSI(r)
	case ignoredString:
		if r >= 0xa0 {
			p.state = ground
		}
	case oscString:
		switch {
		case r == 0x07:
			s.endString(true)
		case r >= 0x20:
			p.put(r)
		}
	case dcsEntry, dcsParam, dcsInter:
		s.stepDCS(r)
	case dcsData:
		if r != 0x7f {
			p.put(r)
		}
	}
}

func (s *Screen) stepEscape(r rune) {
	p := &s.parser
	switch {
	case r < 0x20:
		s.execute(r)
	case r < 0x30:
		p.collect = uint32(r)
		p.state = escInter
	case r == '[':
		p.clear()
		p.state = csiEntry
	case r == ']':
		p.startText()
		p.state = oscString
	case r == 'P':
		p.clear()
		p.state = dcsEntry
	case r == 'X' || r == '^' || r == '_':
		p.state = ignoredString
	case r < 0x7f:
		s.dispatchEscape(r)
	case r > 0x7f:
		p.state = ground
	}
}

func (s *Screen) dispatchEscape(r rune) {
	s.parser.state = ground
	s.escapeSequence(s.parser.collect<<8 | uint32(r))
	s.join = 0
}

func (s *Screen) stepCSI(r rune) {
	p := &s.parser
	switch {
	case r < 0x20:
		s.execute(r)
	case r == 0x7f:
	case r > 0x7f:
		if p.state != csiIgnore {
			p.state = ground
		}
	case r >= 0x40:
		ignore := p.state == csiIgnore
		p.state = ground
		if !ignore {
			s.controlSequence(p.collect<<8 | uint32(r))
			s.join = 0
		}
	case p.state == csiIgnore:
	case r < 0x30:
		p.collect = p.collect<<8 | uint32(r)
		p.state = csiInter
	case p.state == csiInter:
		p.state = csiIgnore
	case r < 0x3c:
		p.param(r)
		p.state = csiParam
	case p.state == csiEntry:
		p.collect = uint32(r)
		p.state = csiParam
	default:
		p.state = csiIgnore
	}
}

func (s *Screen) stepDCS(r rune) {
	p := &s.parser
	switch {
	case r < 0x20 || r == 0x7f:
	case r > 0x7f:
		p.state = ground
	case r >= 0x40:
		p.collect = p.collect<<8 | uint32(r)
		p.startText()
		p.state = dcsData
	case r < 0x30:
		p.collect = p.collect<<8 | uint32(r)
		p.state = dcsInter
	case p.state == dcsInter:
		p.state = dcsIgnore
	case r < 0x3c:
		p.param(r)
		p.state = dcsParam
	case p.state == dcsEntry:
		p.collect = uint32(r)
		p.state = dcsParam
	default:
		p.state = dcsIgnore
	}
}
