package screen

import (
	"fmt"
	"strconv"
	"strings"
)

// query notes that the present sequence is a question, and its answer; "" is
// none. Of several questions in one sequence all are answered.
func (s *Screen) query(reply string) {
	s.feed.query = true
	s.feed.reply = append(s.feed.reply, reply...)
}

// version is what XTVERSION is answered with.
const version = "berth 1"

// querySequence notes those control sequences that are questions. The answers
// are xterm's for a VT220 with colours; of what only a window has (pixels, keys
// of termcap) there is no answer.
func (s *Screen) querySequence(id uint32) {
	p := &s.parser
	v := int(p.params[0])
	switch id {
	case 'c':
		if v == 0 {
			s.query("\x1b[?62;22c")
		}
	case '>'<<8 | 'c':
		if v == 0 {
			s.query("\x1b[>1;276;0c")
		}
	case '='<<8 | 'c':
		if v == 0 {
			s.query("\x1bP!|00000000\x1b\\")
		}
	case '>'<<8 | 'q':
		if v == 0 {
			s.query("\x1bP>|" + version + "\x1b\\")
		}
	case 'n', '?'<<8 | 'n':
		s.queryStatus(v, id > 0xff)
	case '$'<<8 | 'p':
		s.query(fmt.Sprintf("\x1b[%d;%d$y", v, s.modeState(v)))
	case ('?'<<8|'$')<<8 | 'p':
		s.query(fmt.Sprintf("\x1b[?%d;%d$y", v, s.privateModeState(v)))
	case '?'<<8 | 'u':
		s.query(fmt.Sprintf("\x1b[?%du", s.buf.keyboard()))
	case '?'<<8 | 'm':
		if v == 4 {
			s.query(fmt.Sprintf("\x1b[>4;%dm", s.modes.otherKeys))
		}
	case 'x':
		s.query("")
	}
}

// queryStatus is DSR.
func (s *Screen) queryStatus(v int, private bool) {
	prefix := ""
	if private {
		prefix = "?"
	}
	switch {
	case v == 5 && !private:
		s.query("\x1b[0n")
	case v == 6:
		y := s.buf.y
		if s.modes.origin {
			y -= s.buf.top
		}
		s.query(fmt.Sprintf("\x1b[%s%d;%dR", prefix, y+1, min(s.buf.x, s.cols-1)+1))
	default:
		s.query("")
	}
}

// queryWindow is the part of CSI t that asks.
func (s *Screen) queryWindow(v int) {
	switch v {
	case 18:
		s.query(fmt.Sprintf("\x1b[8;%d;%dt", s.rows, s.cols))
	case 11, 13, 14, 15, 16, 19, 20, 21:
		s.query("")
	}
}

// queryDCS notes DECRQSS and XTGETTCAP.
func (s *Screen) queryDCS(id uint32, text string) {
	switch id {
	case '$'<<8 | 'q':
		s.query(s.settingReply(text))
	case '+'<<8 | 'q':
		s.query("\x1bP0+r\x1b\\")
	}
}

func (s *Screen) settingReply(text string) string {
	valid := func(setting string) string { return "\x1bP1$r" + setting + "\x1b\\" }
	switch text {
	case "m":
		return valid(strings.TrimSuffix(strings.TrimPrefix(string(sgr(nil, s.pen.style)), "\x1b["), "m") + "m")
	case "r":
		return valid(fmt.Sprintf("%d;%dr", s.buf.top+1, s.buf.bottom+1))
	case " q":
		return valid(fmt.Sprintf("%d q", s.modes.cursorStyle))
	case `"q`:
		if s.pen.bg&bgProtected != 0 {
			return valid(`1"q`)
		}
		return valid(`0"q`)
	case `"p`:
		return valid(`62;1"p`)
	}
	return "\x1bP0$r\x1b\\"
}

// Answers to DECRQM.
const (
	modeUnknown = iota
	modeSet
	modeReset
	modeAlwaysSet
	modeNeverSet
)

func setOrReset(on bool) int {
	if on {
		return modeSet
	}
	return modeReset
}

func (s *Screen) modeState(v int) int {
	switch v {
	case 2:
		return modeNeverSet
	case 4:
		return setOrReset(s.modes.insert)
	case 12:
		return modeAlwaysSet
	case 20:
		return setOrReset(s.modes.newline)
	}
	return modeUnknown
}

func (s *Screen) privateModeState(v int) int {
	m := &s.modes
	switch v {
	case 1:
		return setOrReset(m.appCursor)
	case 6:
		return setOrReset(m.origin)
	case 7:
		return setOrReset(m.wrap)
	case 12:
		return setOrReset(m.blink)
	case 25:
		return setOrReset(!m.hidden)
	case 45:
		return setOrReset(m.reverseWrap)
	case 66:
		return setOrReset(m.keypad)
	case 9, 1000, 1002, 1003:
		return setOrReset(m.mouse == v)
	case 1006, 1016:
		return setOrReset(m.mouseEncoding == v)
	case 1004:
		return setOrReset(m.focus)
	case 2004:
		return setOrReset(m.paste)
	case 2026:
		return setOrReset(m.synchronized)
	case 47, 1047, 1049:
		return setOrReset(s.buf == &s.alt)
	case 1048:
		return modeSet
	}
	return modeUnknown
}

// indexedReply answers for a colour that the program has set itself; what the
// others are, only the viewer's terminal knows.
func (s *Screen) indexedReply(index int) string {
	spec, ok := s.palette.indexed[index]
	if !ok {
		return ""
	}
	return "\x1b]4;" + strconv.Itoa(index) + ";" + spec + "\x1b\\"
}

// specialReply answers for the foreground, background and cursor. Programs wait
// for these to choose between dark and light: without a terminal it is dark.
func (s *Screen) specialReply(which int) string {
	spec := s.palette.special[which]
	if spec == "" {
		spec = [...]string{"rgb:ffff/ffff/ffff", "rgb:0000/0000/0000", "rgb:ffff/ffff/ffff"}[which]
	}
	return "\x1b]" + strconv.Itoa(10+which) + ";" + spec + "\x1b\\"
}
