package screen

import (
	"bytes"
	"strconv"
	"strings"
)

// names are the titles of the window and of its icon.
type names struct {
	title, icon   string
	titles, icons []string // pushed ones
}

// palette is what the program made of the colours: specifications as XParseColor
// takes them, "" for a colour that is as it was.
type palette struct {
	indexed map[int]string
	special [3]string // foreground, background, cursor: OSC 10, 11, 12
}

// dispatchString acts on an OSC or DCS that is whole.
func (s *Screen) dispatchString(kind state) {
	text := s.parser.text
	if kind == dcsData {
		s.queryDCS(s.parser.collect, string(text))
		return
	}
	head, rest, _ := bytes.Cut(text, []byte{';'})
	number, err := strconv.Atoi(string(head))
	if err != nil || number < 0 {
		return
	}
	s.command(number, string(rest))
}

func (s *Screen) command(number int, text string) {
	switch number {
	case 0:
		s.names.title = cut(text, maxTitle)
		s.names.icon = s.names.title
	case 1:
		s.names.icon = cut(text, maxTitle)
	case 2:
		s.names.title = cut(text, maxTitle)
	case 4:
		s.setIndexed(text)
	case 8:
		s.setLink(text)
	case 10, 11, 12:
		s.setSpecial(number-10, text)
	case 104:
		s.resetIndexed(text)
	case 110, 111, 112:
		s.palette.special[number-110] = ""
	case 52:
		if _, what, _ := strings.Cut(text, ";"); what == "?" {
			s.query("")
		}
	}
}

// cut shortens text to n bytes at most, at a character.
func cut(text string, n int) string {
	if len(text) <= n {
		return strings.Clone(text)
	}
	return strings.ToValidUTF8(text[:n], "")
}

// setIndexed is OSC 4: pairs of a number and a colour or a question mark.
func (s *Screen) setIndexed(text string) {
	parts := strings.Split(text, ";")
	for i := 0; i+1 < len(parts); i += 2 {
		index, err := strconv.Atoi(parts[i])
		if err != nil || index < 0 || index > 255 {
			continue
		}
		switch spec := parts[i+1]; {
		case spec == "?":
			s.query(s.indexedReply(index))
		case isColor(spec):
			if s.palette.indexed == nil {
				s.palette.indexed = map[int]string{}
			}
			s.palette.indexed[index] = strings.Clone(spec)
		}
	}
}

func (s *Screen) resetIndexed(text string) {
	if text == "" {
		s.palette.indexed = nil
		return
	}
	for part := range strings.SplitSeq(text, ";") {
		if index, err := strconv.Atoi(part); err == nil {
			delete(s.palette.indexed, index)
		}
	}
}

// setSpecial is OSC 10, 11 and 12; further colours are for the next ones.
func (s *Screen) setSpecial(which int, text string) {
	for spec := range strings.SplitSeq(text, ";") {
		switch {
		case which >= len(s.palette.special):
			return
		case spec == "?":
			s.query(s.specialReply(which))
		case isColor(spec):
			s.palette.special[which] = strings.Clone(spec)
		}
		which++
	}
}

// isColor reports whether spec is "#" with 3, 6, 9 or 12 hexadecimal digits or
// "rgb:" with three parts of the same length.
func isColor(spec string) bool {
	low := strings.ToLower(spec)
	if digits, ok := strings.CutPrefix(low, "#"); ok {
		n := len(digits)
		return n > 0 && n <= 12 && n%3 == 0 && isHex(digits)
	}
	rest, ok := strings.CutPrefix(low, "rgb:")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 {
		return false
	}
	for _, part := range parts {
		if len(part) == 0 || len(part) > 4 || len(part) != len(parts[0]) || !isHex(part) {
			return false
		}
	}
	return true
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

// setLink is OSC 8: parameters and a URI; without one the link ends.
func (s *Screen) setLink(text string) {
	params, uri, ok := strings.Cut(text, ";")
	if !ok || (uri == "" && strings.TrimSpace(params) != "") {
		return
	}
	l := look{color: s.pen.look.color}
	if uri != "" && len(uri) <= maxURI {
		l.link = strings.Clone(uri)
		for param := range strings.SplitSeq(params, ":") {
			if id, ok := strings.CutPrefix(param, "id="); ok && l.linkID == "" {
				l.linkID = cut(id, maxLinkID)
			}
		}
		if l.linkID == "" {
			s.links++
			l.anonyme = s.links
		}
	}
	s.pen.look = l
	s.pen.refresh(s)
}

// windowSequence is CSI t: stacks of titles, and questions.
func (s *Screen) windowSequence() {
	p := &s.parser
	which := 0
	if p.n > 1 {
		which = int(p.params[1])
	}
	n := &s.names
	switch p.params[0] {
	case 22:
		if which == 0 || which == 2 {
			n.titles = push(n.titles, n.title)
		}
		if which == 0 || which == 1 {
			n.icons = push(n.icons, n.icon)
		}
	case 23:
		if which == 0 || which == 2 {
			n.titles, n.title = pop(n.titles, n.title)
		}
		if which == 0 || which == 1 {
			n.icons, n.icon = pop(n.icons, n.icon)
		}
	default:
		s.queryWindow(int(p.params[0]))
	}
}

func push(stack []string, name string) []string {
	if len(stack) == maxTitles {
		stack = append(stack[:0], stack[1:]...)
	}
	return append(stack, name)
}

func pop(stack []string, otherwise string) ([]string, string) {
	if len(stack) == 0 {
		return stack, otherwise
	}
	return stack[:len(stack)-1], stack[len(stack)-1]
}
