package main

import (
	"testing"
	"unicode/utf16"
)

func TestUTF16(t *testing.T) {
	for _, text := range []string{"", "a", "\x1a\x03\x00", "ä€", "a😀b", "😀😀"} {
		units := utf16.Encode([]rune(text))
		for cut := range len(units) + 1 {
			var u utf16Reader
			if got := string(u.decode(units[:cut])) + string(u.decode(units[cut:])); got != text {
				t.Errorf("%q, read in two from %d on, = %q", text, cut, got)
			}
		}
	}
	for want, units := range map[string][]uint16{"\ufffda": {0xd83d, 'a'}, "a\ufffd": {'a', 0xde00}, "\ufffd😀": {0xd83d, 0xd83d, 0xde00}} {
		var u utf16Reader
		if got := string(u.decode(units)); got != want {
			t.Errorf("decode(%x) = %q, want %q", units, got, want)
		}
	}
}
