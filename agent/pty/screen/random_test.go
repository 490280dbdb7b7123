package screen

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// randomSession returns steps of which no program would think, the same ones for
// the same seed.
func randomSession(seed uint64, length int) (cols, rows int, steps []step) {
	r := rand.New(rand.NewPCG(seed, 1))
	g := generator{r: r, cols: 10 + r.IntN(60), rows: 3 + r.IntN(20)}
	cols, rows = g.cols, g.rows
	for range length {
		if seed%4 == 0 && r.IntN(40) == 0 {
			steps = append(steps, g.resize(seed%8 == 0)...)
			continue
		}
		steps = append(steps, step{Data: []byte(g.piece())})
	}
	return cols, rows, steps
}

type generator struct {
	r          *rand.Rand
	cols, rows int
}

// resize makes the terminal larger or, if shrink is set, of any size. xterm.js
// does not cut the alternate screen, but keeps what is beyond the edge and may
// show it again; programs draw all of it anew, so it is left before.
func (g *generator) resize(shrink bool) []step {
	if !shrink {
		g.cols, g.rows = g.cols+g.r.IntN(4), g.rows+g.r.IntN(4)
		return []step{{Cols: g.cols, Rows: g.rows}}
	}
	g.cols, g.rows = 10+g.r.IntN(60), 3+g.r.IntN(20)
	return []step{
		{Data: []byte(plain + "\x1b[?47l")},
		{Cols: g.cols, Rows: g.rows},
		{Data: []byte("\x1b[?47h\x1b[?47l")}, // or its alternate screen has the rows that it had before
	}
}

func (g *generator) pick(of ...string) string { return of[g.r.IntN(len(of))] }

// piece returns some text or one control sequence.
func (g *generator) piece() string {
	switch n := g.r.IntN(100); {
	case n < 35:
		return g.text()
	case n < 50:
		return g.pick("\r\n", "\r\n", "\n", "\r", "\b", "\t", "\x0e", "\x0f", "\a", "\v")
	case n < 62:
		return g.graphics()
	case n < 75:
		return g.move()
	case n < 88:
		return g.edit()
	}
	return g.setting()
}

func (g *generator) text() string {
	switch g.r.IntN(8) {
	case 0: // where lines do not wrap, xterm.js leaves wide characters without their second half
		return "\x1b[?7h" + strings.Repeat(g.pick("漢字", "テスト", "한글"), 1+g.r.IntN(g.cols/3))
	case 1:
		return g.pick("e\u0301", "a\u0308\u0323o", "\u0301", "👩\u200d🚀", "❤\ufe0f", "🇩🇪", "👍🏽", "ก็", "z\u0336\u0334\u0337")
	case 2:
		return g.pick("lqqqk", "┌──┐", "█▓▒░", "ﬀ", "\u00a0", "😀", "x", " ")
	case 3:
		return strings.Repeat(g.pick("ab ", "0123456789", "~"), 1+g.r.IntN(g.cols))
	}
	words := make([]string, 1+g.r.IntN(5))
	for i := range words {
		words[i] = g.pick("the", "quick", "brown", "fox", "jumps", "over", "lazy", "dogs", "#!", "}{|")
	}
	return strings.Join(words, " ")
}

func (g *generator) graphics() string {
	switch g.r.IntN(6) {
	case 0:
		return "\x1b[m"
	case 1:
		return fmt.Sprintf("\x1b[%d;5;%dm", []int{38, 48}[g.r.IntN(2)], g.r.IntN(256))
	case 2:
		return fmt.Sprintf("\x1b[%d;2;%d;%d;%dm", []int{38, 48}[g.r.IntN(2)], g.r.IntN(256), g.r.IntN(256), g.r.IntN(256))
	case 3:
		return fmt.Sprintf("\x1b[%dm", []int{1, 2, 3, 4, 5, 7, 8, 9, 21, 22, 23, 24, 25, 27, 28, 29, 39, 49, 53, 55}[g.r.IntN(20)])
	case 4:
		return g.pick("\x1b[4:3m", "\x1b[4:5m", "\x1b[4;58:2::1:2:3m", "\x1b[58;5;9m", "\x1b[38:2::9:8:7m", "\x1b[38:5:77m", "\x1b[1\"q", "\x1b[0\"q",
			"\x1b]8;;http://example.com/\x1b\\", "\x1b]8;id=x;http://example.org/\x07", "\x1b]8;;\x1b\\")
	}
	return fmt.Sprintf("\x1b[%d;%dm", []int{30, 90}[g.r.IntN(2)]+g.r.IntN(8), []int{40, 100}[g.r.IntN(2)]+g.r.IntN(8))
}

// plain comes before the cursor is saved or restored: xterm.js mixes up what
// the underline and the link were then, and real terminals do not.
const plain = "\x1b[24;59m\x1b]8;;\x1b\\"

func (g *generator) move() string {
	n := g.r.IntN(8)
	switch g.r.IntN(5) {
	case 0, 1:
		return fmt.Sprintf("\x1b[%d;%dH", 1+g.r.IntN(g.rows+1), 1+g.r.IntN(g.cols+1))
	case 2:
		return fmt.Sprintf("\x1b[%d%s", n, g.pick("A", "B", "C", "D", "E", "F", "I", "Z"))
	case 3:
		return fmt.Sprintf("\x1b[%d%s", 1+g.r.IntN(g.cols), g.pick("G", "`", "d", "a", "e"))
	}
	return g.pick(plain+"\x1b7", plain+"\x1b8", "\x1bD", "\x1bM", "\x1bE", plain+"\x1b[s", plain+"\x1b[u", "\x1b[H")
}

func (g *generator) edit() string {
	n := g.r.IntN(6)
	switch g.r.IntN(4) {
	case 0:
		return fmt.Sprintf("\x1b[%s%d%s", g.pick("", "", "?"), g.r.IntN(3), g.pick("J", "K", "K"))
	case 1:
		return fmt.Sprintf("\x1b[%d%s", n, g.pick("L", "M", "S", "T"))
	case 2:
		return fmt.Sprintf("\x1b[%d%s", n, g.pick("@", "P", "X", "b"))
	}
	return fmt.Sprintf("\x1b[%d%s", n, g.pick(" @", " A", "'}", "'~", "X", "b"))
}

func (g *generator) setting() string {
	top := 1 + g.r.IntN(g.rows-1)
	switch g.r.IntN(9) {
	case 0:
		return fmt.Sprintf("\x1b[%d;%dr", top, top+1+g.r.IntN(g.rows-top))
	case 1:
		return "\x1b[r"
	case 2:
		return plain + g.pick("\x1b[?1049h", "\x1b[?1049l", "\x1b[?1049l", "\x1b[?47h", "\x1b[?47l", "\x1b[?1048h", "\x1b[?1048l")
	case 3:
		return "\x1b[" + g.pick("?1", "?6", "?7", "?12", "?25", "?45", "?66", "?1000", "?1003", "?1006", "?1004", "?2004", "4", "?2026") + g.pick("h", "l", "l")
	case 4:
		return g.pick("\x1b(0", "\x1b(B", "\x1b)0", "\x1b*A", "\x1bn", "\x1b(A", "\x1b+B", "\x1bo", "\x1b%@")
	case 5:
		return g.pick("\x1b]0;title\a", "\x1b]2;ein ✅ Titel\x1b\\", "\x1b]1;icon\a", "\x1b[22;0t", "\x1b[23;0t", "\x1b[22;2t", "\x1b[3 q", "\x1b[0 q", "\x1b[6 q")
	case 6:
		return g.pick("\x1bH", "\x1b[g", "\x1b[3g", "\x1b=", "\x1b>", "\x1b[?2h")
	case 7:
		return g.pick("\x1b#8", "\x1b[!p", "\x1b[?12l\x1b[20l\x1b[?25h\x1bc", "\x1b[3J", "\x1b[20h", "\x1b[20l", "\x1b[2J", "\x1b[2J")
	}
	return g.pick("\x1b[c", "\x1b[6n", "\x1b[>c", "\x1b[?25$p", "\x1b]11;?\a", "\x1bP$qm\x1b\\", "\x1b_apc\x1b\\", "\x1b[99999999999999999999C", "\xff\xc3(", "\x1b[1\x18x", "\x1b]4;1;rgb:11/22/33\a")
}

func TestRandomSessions(t *testing.T) {
	ref := newReference(t)
	const sessions, breaks = 400, 4
	left := 0
	for seed := range uint64(sessions) {
		if t.Failed() {
			break
		}
		cols, rows, steps := randomSession(seed, 150)
		left += checkSession(t, ref, fmt.Sprintf("random session %d", seed), cols, rows, steps, breaks)
	}
	if left > sessions*breaks/20 {
		t.Errorf("%d of %d breaks could not be compared, want few", left, sessions*breaks)
	}
}
