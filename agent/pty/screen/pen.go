package screen

// pen is how what is printed next will look.
type pen struct {
	style
	cell cell // the same as a cell without content
}

// refresh is called when style has changed. A colour of the underline is kept
// in mind, but no cell has it that has neither underline nor link.
func (p *pen) refresh(s *Screen) {
	st := p.style
	if st.underline == 0 && st.look.link == "" {
		st.look = look{}
	}
	p.cell = s.cellOf(st)
}

// erased is what erasing leaves: the background colour of the pen, no flags.
func (p *pen) erased() cell { return cell{ch: narrow, bg: p.bg & colorMask} }

// null is a null cell that looks like the pen.
func (p *pen) null() cell { return p.cell.with(narrow) }

// reset is SGR 0: it ends no link.
func (p *pen) reset() {
	link := p.look
	link.color = 0
	p.style = style{look: link}
}

// selectGraphics is SGR.
func (s *Screen) selectGraphics() {
	for i := 0; i < s.parser.n; i++ {
		i += s.selectOne(i)
	}
	s.pen.refresh(s)
}

// selectOne applies parameter i and returns how many more it used.
func (s *Screen) selectOne(i int) int {
	p := &s.pen
	switch v := s.parser.params[i]; {
	case v == 0:
		p.reset()
	case v == 4:
		style := int32(1)
		if sub := s.parser.sub(i); len(sub) > 0 {
			style = sub[0]
		}
		p.setUnderline(style)
	case v < 30 || v == 53 || v == 55:
		p.setFlag(v)
	case v <= 37:
		p.fg = p.fg&^colorMask | colorBasic | uint32(v-30)
	case v == 38 || v == 48 || v == 58:
		return s.selectColor(i)
	case v == 39:
		p.fg &^= colorMask
	case v <= 47:
		p.bg = p.bg&^colorMask | colorBasic | uint32(v-40)
	case v == 49:
		p.bg &^= colorMask
	case v == 59:
		p.look.color = 0
	case v >= 90 && v <= 97:
		p.fg = p.fg&^colorMask | colorBasic | uint32(v-90) | 8
	case v >= 100 && v <= 107:
		p.bg = p.bg&^colorMask | colorBasic | uint32(v-100) | 8
	}
	return 0
}

func (p *pen) setUnderline(style int32) {
	if style < 0 || style > 5 {
		style = 1
	}
	p.underline = uint32(style)
}

func (p *pen) setFlag(v int32) {
	switch v {
	case 1:
		p.fg |= fgBold
	case 2:
		p.bg |= bgFaint
	case 3:
		p.bg |= bgItalic
	case 5:
		p.fg |= fgBlink
	case 7:
		p.fg |= fgInverse
	case 8:
		p.fg |= fgConceal
	case 9:
		p.fg |= fgStrike
	case 21:
		p.underline = 2
	case 22:
		p.fg &^= fgBold
		p.bg &^= bgFaint
	case 23:
		p.bg &^= bgItalic
	case 24:
		p.underline = 0
	case 25:
		p.fg &^= fgBlink
	case 27:
		p.fg &^= fgInverse
	case 28:
		p.fg &^= fgConceal
	case 29:
		p.fg &^= fgStrike
	case 53:
		p.bg |= bgOverline
	case 55:
		p.bg &^= bgOverline
	}
}

// selectColor applies 38, 48 or 58 at parameter i, in all the forms that are in
// use: 38;5;n, 38:5:n, 38;2;r;g;b, 38:2:r:g:b and 38:2:space:r:g:b. It returns
// how many parameters it used besides i.
func (s *Screen) selectColor(i int) int {
	// what, kind, colour space, and three values
	accu := [6]int32{0, 0, -1, 0, 0, 0}
	space, used := 0, 0
	for {
		accu[used+space] = s.parser.params[i+used]
		if sub := s.parser.sub(i + used); len(sub) > 0 {
			for j := 0; j < len(sub) && used+j+1+space < len(accu); j++ {
				if accu[1] == 5 {
					space = 1
				}
				if at := used + j + 1 + space; at < len(accu) {
					accu[at] = sub[j]
				}
			}
			break
		}
		if (accu[1] == 5 && used+space >= 2) || (accu[1] == 2 && used+space >= 5) {
			break
		}
		if accu[1] != 0 {
			space = 1
		}
		used++
		if used+i >= s.parser.n || used+space >= len(accu) {
			break
		}
	}
	for j := 2; j < len(accu); j++ {
		accu[j] = max(accu[j], 0)
	}
	s.pen.setColor(accu)
	return used
}

func (p *pen) setColor(accu [6]int32) {
	var target *uint32
	switch accu[0] {
	case 38:
		target = &p.fg
	case 48:
		target = &p.bg
	default:
		target = &p.look.color
	}
	switch accu[1] {
	case 2:
		*target = *target&^colorMask | colorRGB | uint32(accu[3]&0xff)<<16 | uint32(accu[4]&0xff)<<8 | uint32(accu[5]&0xff)
	case 5:
		*target = *target&^colorMask | color256 | uint32(accu[3]&0xff)
	}
}
