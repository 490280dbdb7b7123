package main

import (
	"unicode/utf16"
	"unicode/utf8"
)

// utf16Reader makes UTF-8 of the UTF-16 that consoles of Windows give, whose reads
// may part the two halves of a character.
type utf16Reader struct {
	half rune // the first one of a pair, or 0
}

// decode returns the characters that are whole. Half ones become U+FFFD.
func (u *utf16Reader) decode(units []uint16) (out []byte) {
	for _, unit := range units {
		r, half := rune(unit), u.half
		u.half = 0
		if half != 0 {
			if pair := utf16.DecodeRune(half, r); pair != utf8.RuneError {
				out = utf8.AppendRune(out, pair)
				continue
			}
			out = utf8.AppendRune(out, utf8.RuneError)
		}
		if isFirstHalf(r) {
			u.half = r
			continue
		}
		out = utf8.AppendRune(out, r) // a second half alone is no character
	}
	return out
}

func isFirstHalf(r rune) bool { return r >= 0xd800 && r < 0xdc00 }
