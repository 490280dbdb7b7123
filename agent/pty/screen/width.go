package screen

import (
	"sort"
	"sync"
)

// widthTable has two bits for each character below 0x10000.
type widthTable [1 << 14]uint8

// bmpWidths makes the table when the first screen needs it.
var bmpWidths = sync.OnceValue(makeWidths)

func makeWidths() *widthTable {
	var t widthTable
	for i := range t {
		t[i] = 0b01010101
	}
	set := func(ranges [][2]rune, w uint8) {
		for _, r := range ranges {
			for c := r[0]; c <= r[1] && c < 0x10000; c++ {
				shift := c & 3 * 2
				t[c>>2] = t[c>>2]&^(3<<shift) | w<<shift
			}
		}
	}
	set(zeroWidth[:], 0)
	set(doubleWidth[:], 2)
	return &t
}

// width returns how many columns r takes; it is not a control character.
func (t *widthTable) width(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case r < 0x10000:
		return int(t[r>>2] >> (r & 3 * 2) & 3)
	case within(zeroWidth[:], r):
		return 0
	case within(doubleWidth[:], r):
		return 2
	}
	return 1
}

func within(ranges [][2]rune, r rune) bool {
	i := sort.Search(len(ranges), func(i int) bool { return ranges[i][1] >= r })
	return i < len(ranges) && ranges[i][0] <= r
}
