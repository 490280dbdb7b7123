package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/berthdev/berth/connect/forward"
)

// listening is a forward that carries nothing.
func listening(t *testing.T, port uint16) *forward.Forward {
	t.Helper()
	fw, err := forward.Listen(forward.Rule{Network: "tcp", Target: forward.Endpoint{Port: port}}, forward.Config{
		Dial: func(context.Context, string, forward.Endpoint) (net.Conn, error) { return nil, errors.New("nobody") },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fw.Stop)
	return fw
}

// TestTableFitsTheTerminal draws a table that is too wide and too high for its
// terminal, which could not be replaced later.
func TestTableFitsTheTerminal(t *testing.T) {
	table := &forwardTable{workspace: "blue-fox"}
	for port := range uint16(9) {
		table.rows = append(table.rows, tableRow{listening(t, port+1), "program\x1b[2J"})
	}
	lines := strings.Split(strings.TrimSuffix(table.textLocked(30, 6), "\n"), "\n")
	if len(lines) != 4 || lines[3] != "and 7 more" {
		t.Errorf("table = %q, want four lines for six, the last of which says how many are not shown", lines)
	}
	for _, line := range lines {
		if len(line) > 29 || strings.ContainsRune(line, '\x1b') {
			t.Errorf("line %q is wider than the terminal, or changes it", line)
		}
	}
}

func TestTableIsDrawnInItsPlace(t *testing.T) {
	var out bytes.Buffer
	table := &forwardTable{out: &out, workspace: "ws"}
	fw := listening(t, 80)
	table.began(fw, "nginx")
	if out.Len() > 0 {
		t.Errorf("before it is ready the table shows %q", out.String())
	}
	table.ready()
	first := out.String()
	if !strings.Contains(first, "nginx") || !strings.HasPrefix(first, "\r\x1b[J") {
		t.Errorf("table = %q, want nginx in it", first)
	}
	table.refresh()
	if out.String() != first {
		t.Errorf("a table in which nothing changed was drawn again: %q", out.String())
	}
	table.ended(fw)
	if rest := strings.TrimPrefix(out.String(), first); !strings.HasPrefix(rest, "\x1b[2A\r\x1b[J") || strings.Contains(rest, "nginx") {
		t.Errorf("after its end %q is drawn, want it in place of the two lines, without nginx", rest)
	}
}

func TestBytesForPeople(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 5 << 30: "5.0 GiB", 1 << 60: "1024.0 PiB"} {
		if got := binary(n); got != want {
			t.Errorf("binary(%d) = %q, want %q", n, got, want)
		}
	}
}
