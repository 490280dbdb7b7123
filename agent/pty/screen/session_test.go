package screen

import (
	"fmt"
	"slices"
	"testing"
)

// play feeds a screen with steps.
func play(s *Screen, steps []step) {
	for _, st := range steps {
		if st.Cols != 0 {
			s.Resize(st.Cols, st.Rows)
		} else {
			s.Feed(st.Data)
		}
	}
}

// checkSession compares, for a session, the screen with the reference, and the
// reference with one that was given a snapshot and the rest, at some breaks.
func checkSession(t *testing.T, ref *reference, name string, cols, rows int, steps []step, breaks int) {
	t.Helper()
	whole := ref.run(t, cols, rows, steps)
	s := New(cols, rows)
	play(s, steps)
	compare(t, name+", own state", dump(s), whole)
	for i := range breaks {
		at := len(steps) * (i + 1) / breaks
		checkBreak(t, ref, fmt.Sprintf("%s, break at step %d of %d", name, at, len(steps)), cols, rows, steps, at, whole)
	}
}

func checkBreak(t *testing.T, ref *reference, name string, cols, rows int, steps []step, at int, want shownState) {
	t.Helper()
	s := New(cols, rows)
	play(s, steps[:at])
	cols, rows = s.Size()
	if out := unreachable(s); out != "" {
		t.Logf("%s: not compared: %s", name, out)
		return
	}
	after := []step{{Data: s.Snapshot()}}
	if !compare(t, name+", snapshot alone", ref.run(t, cols, rows, after), dump(s)) {
		return
	}
	for _, st := range steps[at:] {
		if st.Cols != 0 {
			s.Resize(st.Cols, st.Rows)
			after = append(after, st)
			continue
		}
		for _, span := range s.Feed(st.Data) {
			after = append(after, step{Data: append([]byte(nil), span.Data...)})
		}
	}
	compare(t, name, ref.run(t, cols, rows, after), want)
}

// unreachable says what in the state of s no bytes bring a terminal to, see
// Snapshot. Hardly anything but resizing leads to such states.
func unreachable(s *Screen) string {
	if rel := s.main.saved.y - s.main.base(); rel >= s.rows {
		return "the saved cursor is below the screen"
	}
	if s.main.saved.x >= s.cols || s.alt.saved.x >= s.cols {
		return "the saved cursor has a wrap pending"
	}
	if sh := s.shift; sh.active != sh.sets[sh.level] && sh.active != s.buf.saved.charset {
		return "the character set comes from a cursor that was saved anew"
	}
	if slices.Contains(s.main.tabs[s.cols:], true) {
		return "a tab stop is beyond the edge"
	}
	lines := slices.Clone(s.main.rows)
	for _, packed := range s.main.history.all() {
		lines = append(lines, s.unpack(packed, s.cols))
	}
	for _, l := range lines {
		for x, c := range l.cells {
			if c.width() == 2 && (x+1 == len(l.cells) || !l.cells[x+1].isHalf()) {
				return "a wide character is cut"
			}
		}
	}
	return ""
}
