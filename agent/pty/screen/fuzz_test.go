package screen

import (
	"bytes"
	"testing"
)

// FuzzFeed feeds anything, in two pieces and with a new size between. Nothing
// may be lost on the way into spans, and a snapshot must bring a screen of ours
// to the same state.
func FuzzFeed(f *testing.F) {
	for seed := range uint64(20) {
		_, _, steps := randomSession(seed, 30)
		var data []byte
		for _, st := range steps {
			data = append(data, st.Data...)
		}
		f.Add(data, uint16(len(data)/2), uint8(seed*3), uint8(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte, at uint16, cols, rows uint8) {
		cut := int(at) % (len(data) + 1)
		s := New(20, 6)
		var out []byte
		collect := func(spans []Span) {
			for _, span := range spans {
				out = append(out, span.Data...)
			}
		}
		collect(s.Feed(data[:cut]))
		collect(s.Feed(data[cut:]))
		if got := len(out) + len(s.feed.held); got < len(data) {
			t.Errorf("Feed of %d bytes returned and held %d", len(data), got)
		}
		s.Resize(int(cols), int(rows))
		checkCopy(t, s)
	})
}

// checkCopy gives a snapshot of s to another screen, whose snapshot must be the
// same.
func checkCopy(t *testing.T, s *Screen) {
	t.Helper()
	if unreachable(s) != "" {
		return
	}
	first := s.Snapshot()
	c := New(s.cols, s.rows)
	for i := 0; i < len(first); i += 100 {
		c.Feed(first[i:min(i+100, len(first))])
	}
	c.touched, c.feed.released = s.touched, s.feed.released
	c.parser.state = s.parser.state
	if second := c.Snapshot(); !bytes.Equal(first, second) {
		t.Errorf("snapshot of a copy differs:\n first %q\nsecond %q", first, second)
	}
}
