package screen

import (
	"bytes"
	"fmt"
	"testing"
)

func benchmarkFeed(b *testing.B, data []byte) {
	s := New(120, 40)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 32<<10)
			s.Feed(rest[:n])
			rest = rest[n:]
		}
	}
}

func BenchmarkText(b *testing.B) {
	benchmarkFeed(b, bytes.Repeat([]byte("The quick brown fox jumps over the lazy dog, and again and again and again.\r\n"), 10000))
}

func BenchmarkYes(b *testing.B) { benchmarkFeed(b, bytes.Repeat([]byte("y\r\n"), 200000)) }

func BenchmarkColors(b *testing.B) {
	var data bytes.Buffer
	for i := range 20000 {
		fmt.Fprintf(&data, "\x1b[%dm\x1b[1mword\x1b[0m \x1b[38;5;%dmother\x1b[m\r\n", 31+i%7, i%256)
	}
	benchmarkFeed(b, data.Bytes())
}

func BenchmarkWide(b *testing.B) {
	benchmarkFeed(b, bytes.Repeat([]byte("漢字かな交じり文 naïve ✅ and e\u0301\r\n"), 20000))
}

func BenchmarkSnapshot(b *testing.B) {
	s := New(120, 40)
	s.Feed(bytes.Repeat([]byte("The quick \x1b[32mbrown\x1b[m fox jumps over the lazy dog, and again.\r\n"), maxLines+100))
	for b.Loop() {
		b.SetBytes(int64(len(s.Snapshot())))
	}
}
