package screen

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// maxMemory is what one screen may take, whatever it is fed.
const maxMemory = 4 << 20

// hostile are programs that try to take memory.
func hostile() map[string]func(s *Screen) {
	feed := func(s *Screen, format string, args ...any) { s.Feed(fmt.Appendf(nil, format, args...)) }
	return map[string]func(s *Screen){
		"full scrollback": func(s *Screen) {
			for i := range maxLines + 1000 {
				feed(s, "%d %s\r\n", i, strings.Repeat("some text ", 11))
			}
		},
		"coloured scrollback": func(s *Screen) {
			for i := range maxLines + 1000 {
				feed(s, "\x1b[%d;%dm%d\x1b[m %s\r\n", 30+i%8, i%5, i, strings.Repeat("a \x1b[32mword\x1b[m ", 8))
			}
		},
		"a colour per cell": func(s *Screen) {
			for i := range 200_000 {
				feed(s, "\x1b[38;2;%d;%d;%dm\x1b[58;2;%d;1;%dm\x1b[4mx", i>>16, i>>8&255, i&255, i>>8&255, i&255)
			}
		},
		"a link per cell": func(s *Screen) {
			for i := range 50_000 {
				feed(s, "\x1b]8;;http://example.com/%d/%s\ax", i, strings.Repeat("y", 1500))
			}
		},
		"marks": func(s *Screen) {
			for i := range 60_000 {
				feed(s, "a%s%c", strings.Repeat("\u0301", i%40), 0x300+i%100)
			}
		},
		"both screens at the largest size": func(s *Screen) {
			s.Resize(1000, 500)
			for i := range maxLines {
				feed(s, "\x1b[48;5;%dm%s\r\n", i%256, strings.Repeat("w", 900))
			}
			feed(s, "\x1b[?1049h")
		},
		"sizes": func(s *Screen) {
			for i := range 12_000 {
				feed(s, "line %d %s\r\n", i, strings.Repeat("long ", 60))
			}
			for i := range 6 {
				s.Resize(20+i*37%180, 10+i*13%60)
			}
		},
		"strings that do not end": func(s *Screen) {
			chunk := bytes.Repeat([]byte("x"), 64<<10)
			for _, start := range []string{"\x1b]0;", "\x1bPq", "\x1b_", "\x1b[", "\x1b]4;"} {
				feed(s, "%s", start)
				for range 200 {
					s.Feed(chunk)
				}
				feed(s, "\x18")
			}
		},
		"parameters that do not end": func(s *Screen) {
			feed(s, "\x1b[")
			for range 200 {
				s.Feed(bytes.Repeat([]byte("9;:"), 20_000))
			}
		},
		"titles and colours": func(s *Screen) {
			for i := range 20_000 {
				feed(s, "\x1b]0;%s%d\a\x1b[22;0t\x1b]4;%d;rgb:1234/5678/9abc\a\x1b[>1u", strings.Repeat("t", 5000), i, i)
			}
		},
	}
}

func TestMemoryIsBounded(t *testing.T) {
	for name, attack := range hostile() {
		t.Run(name, func(t *testing.T) {
			before := heap()
			s := New(120, 40)
			attack(s)
			used := int64(heap()) - int64(before)
			t.Logf("%d KiB, %d lines of scrollback", used>>10, s.main.base())
			if used > maxMemory {
				t.Errorf("a screen with %s takes %d bytes, want %d at most", name, used, maxMemory)
			}
			runtime.KeepAlive(s)
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestScrollbackIsAsLongAsPromised(t *testing.T) {
	s := New(120, 40)
	for i := range maxLines + 500 {
		s.Feed(fmt.Appendf(nil, "%d %s\r\n", i, strings.Repeat("some text ", 10)))
	}
	if got := s.main.base(); got != maxLines {
		t.Errorf("scrollback after %d lines of 105 characters = %d, want %d", maxLines+500, got, maxLines)
	}
}

// TestHugeParametersAreQuick feeds what would run for years if it were done.
func TestHugeParametersAreQuick(t *testing.T) {
	s := New(80, 24)
	for final := byte('@'); final < 0x7f; final++ {
		for _, prefix := range []string{"", "?", ">", " ", "'"} {
			if prefix == " " || prefix == "'" {
				s.Feed([]byte("x\x1b[2147483647;2147483647" + prefix + string(final)))
			} else {
				s.Feed([]byte("x\x1b[" + prefix + "2147483647;2147483647" + string(final)))
			}
		}
	}
	if got := len(s.Snapshot()); got == 0 || got > 1<<20 {
		t.Errorf("snapshot has %d bytes, want a few", got)
	}
}
