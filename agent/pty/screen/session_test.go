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
// reference with one that was given a snapshot and the rest, at some breaks. It
// returns at how many of them that could not be done.
func checkSession(t *testing.T, ref *reference, name string, cols, rows int, steps []step, breaks int) (left int) {
	t.Helper()
	whole := ref.run(t, cols, rows, joinSteps(steps))
	s := New(cols, rows)
	play(s, steps)
	compare(t, name+", own state", dump(s), whole)
	for i := range breaks {
		at := len(steps) * (i + 1) / breaks
		if !checkBreak(t, ref, fmt.Sprintf("%s, break at step %d of %d", name, at, len(steps)), cols, rows, steps, at, whole) {
			left++
		}
	}
	return left
}

// joinSteps makes one step of those without a new size between them: xterm.js
// breaks some characters that are cut in two, as U+200D in the middle.
func joinSteps(steps []step) []step {
	out := []step{}
	for _, st := range steps {
		if last := len(out) - 1; last >= 0 && st.Cols == 0 && out[last].Cols == 0 {
			out[last].Data = append(slices.Clip(out[last].Data), st.Data...)
		} else {
			out = append(out, st)
		}
	}
	return out
}

func checkBreak(t *testing.T, ref *reference, name string, cols, rows int, steps []step, at int, want shownState) bool {
	t.Helper()
	s := New(cols, rows)
	play(s, steps[:at])
	cols, rows = s.Size()
	if out := unreachable(s); out != "" {
		t.Logf("%s: not compared: %s", name, out)
		return false
	}
	after := []step{{Data: s.Snapshot()}}
	if !compare(t, name+", snapshot alone", ref.run(t, cols, rows, after), dump(s)) {
		return true
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
	return true
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
	standard := func(tabs []bool) bool {
		for x, stop := range tabs[:len(tabs)-1] {
			if stop != (x%8 == 0) {
				return false
			}
		}
		return true
	}
	if tabs := s.main.tabs; slices.Contains(tabs[s.cols:], true) && !standard(tabs) {
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
