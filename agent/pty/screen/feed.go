package screen

import "unicode/utf8"

// Span is a piece of what was fed: Data is valid until the next call of Feed or
// until the caller changes what it fed.
type Span struct {
	Data []byte
	// Query is set when Data is a question of the program to its terminal.
	// Whoever lets no terminal hear it gives Reply to the program, if there is
	// any.
	Query bool
	Reply []byte
}

// feed is how what is fed becomes spans.
type feed struct {
	spans  []Span
	joined []byte // held and what was fed after it

	held     []byte // what is not finished: a control sequence, a character
	parsed   int    // how much of held the parser has read
	released bool   // the start of a long sequence was given away
	strEnd   int    // where a string ends in held, if an ESC may be part of its end; else -1

	query bool // the present sequence is a question
	reply []byte
}

// maxHeld is how much of a control sequence that is no string is held back.
const maxHeld = 4 << 10

// Feed reads what a program printed. It returns the same bytes cut into spans,
// of which each holds whole control sequences and characters only: the start of
// what is unfinished is held back until the rest has come. (Of a string longer
// than 32 KiB the start is given away; Snapshot knows that.) So whoever is given
// a Snapshot and then all later spans has missed nothing.
func (s *Screen) Feed(data []byte) []Span {
	s.touched = true
	f := &s.feed
	f.spans = f.spans[:0]
	if len(f.held) > 0 {
		f.joined = append(append(f.joined[:0], f.held...), data...)
		data = f.joined
	}
	s.read(data)
	if cap(f.joined) > 4*maxString {
		f.joined = nil
	}
	return f.spans
}

// read reads data, which starts with what was held back.
func (s *Screen) read(data []byte) {
	f := &s.feed
	from, seq, i := 0, 0, f.parsed // from: not yet in spans; seq: start of the present sequence
	for i < len(data) {
		if s.parser.state == ground {
			if n := s.readGround(data[i:]); n > 0 {
				i += n
				continue
			}
			seq, f.strEnd = i, -1
		}
		r, n := decode(data[i:])
		if n == 0 {
			break
		}
		if f.strEnd >= 0 && r != '\\' { // the ESC was not part of the end
			from = s.ask(data, from, seq, f.strEnd)
			seq, f.strEnd = f.strEnd, -1
		} else if r == 0x1b && s.parser.inString() {
			f.strEnd = i
		} else if r == 0x1b {
			seq = i
		}
		if r >= 0 {
			s.step(r)
		}
		i += n
		if s.parser.state == ground {
			from = s.ask(data, from, seq, i)
			f.released = false
		}
	}
	s.hold(data, from, seq, i)
}

// ask makes a span of the sequence from seq to end if it is a question. It
// returns up to where all is in spans.
func (s *Screen) ask(data []byte, from, seq, end int) int {
	f := &s.feed
	if !f.query {
		return from
	}
	s.emit(data[from:seq])
	f.spans = append(f.spans, Span{Data: data[seq:end], Query: true, Reply: f.reply})
	f.query, f.reply = false, nil
	return end
}

func (s *Screen) emit(data []byte) {
	if len(data) > 0 {
		s.feed.spans = append(s.feed.spans, Span{Data: data})
	}
}

// hold puts what is finished into spans and keeps the rest. The parser has read
// data up to i.
func (s *Screen) hold(data []byte, from, seq, i int) {
	f := &s.feed
	most := maxHeld
	if s.parser.inString() {
		most = maxString
	}
	switch {
	case s.parser.state == ground || f.released:
		seq = i
	case i-seq > most:
		f.released = true
		seq = i
	}
	s.emit(data[from:seq])
	rest := data[seq:]
	f.parsed = i - seq
	f.strEnd -= seq
	if seq == i {
		f.strEnd = -1
	} else if f.strEnd < 0 && !s.parser.inString() {
		rest = s.withoutControls(rest)
	}
	f.held = append(f.held[:0], rest...)
}

// withoutControls takes the control characters out of an escape sequence: they
// have been acted upon, so the span must not wait. The ESC may have ended a
// string, which they must not become part of.
func (s *Screen) withoutControls(sequence []byte) []byte {
	f := &s.feed
	var controls, rest []byte
	for i, c := range sequence {
		if c < 0x20 && c != 0x1b && i < f.parsed {
			controls = append(controls, c)
		} else {
			rest = append(rest, c)
		}
	}
	f.parsed -= len(controls)
	if len(controls) > 0 {
		s.emit(append([]byte("\x1b\\"), controls...))
	}
	return rest
}

// readGround reads text and control characters until a sequence begins or the
// rest of a character is missing. It returns how much it has read.
func (s *Screen) readGround(b []byte) int {
	i := 0
	for i < len(b) {
		switch c := b[i]; {
		case c-0x20 < 0x5f:
			start := i
			for i < len(b) && b[i]-0x20 < 0x5f {
				i++
			}
			s.printASCII(b[start:i])
		case c == 0x1b:
			return i
		case c < 0x20:
			s.execute(rune(c))
			i++
		case c == 0x7f:
			i++
		default:
			r, n := decode(b[i:])
			if n == 0 || (r >= 0 && r < 0xa0) {
				return i
			}
			if r >= 0 {
				s.printRune(r)
			}
			i += n
		}
	}
	return i
}

// decode returns the first character of b, which is not empty, and its length:
// -1 for bytes that are to be ignored (broken UTF-8, a byte order mark), length
// 0 when the rest of it is missing.
func decode(b []byte) (rune, int) {
	if b[0] < utf8.RuneSelf {
		return rune(b[0]), 1
	}
	r, n := utf8.DecodeRune(b)
	switch {
	case r == utf8.RuneError && n == 1:
		if !utf8.FullRune(b) {
			return 0, 0
		}
		return -1, 1
	case r == 0xfeff:
		return -1, n
	}
	return r, n
}

func appendRune(b []byte, r rune) []byte { return utf8.AppendRune(b, r) }
