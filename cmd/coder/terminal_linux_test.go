package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/creack/pty"
)

// Terminals of programs like expect have no size until somebody sets one; a table
// in such would have no line.
func TestTerminalWithoutSize(t *testing.T) {
	master, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer terminal.Close()
	stdout := os.Stdout
	os.Stdout = terminal
	defer func() { os.Stdout = stdout }()
	if got := ourTerminal(); got.Columns != 80 || got.Rows != 24 {
		t.Errorf("size = %dx%d, want 80x24", got.Columns, got.Rows)
	}
	if err := pty.Setsize(master, &pty.Winsize{Cols: 100, Rows: 40}); err != nil {
		t.Fatal(err)
	}
	if got := ourTerminal(); got.Columns != 100 || got.Rows != 40 {
		t.Errorf("size = %dx%d, want 100x40", got.Columns, got.Rows)
	}
}

// TZ may name a file, as some systems have it.
func TestZoneOfAFile(t *testing.T) {
	link := filepath.Join(t.TempDir(), "localtime")
	if err := os.Symlink("/usr/share/zoneinfo/Europe/Berlin", link); err != nil {
		t.Fatal(err)
	}
	for _, tz := range []string{"Europe/Berlin", ":Europe/Berlin", ":/usr/share/zoneinfo/Europe/Berlin", link} {
		t.Setenv("TZ", tz)
		if got, err := localZone(); got != "Europe/Berlin" || err != nil {
			t.Errorf("zone of TZ=%s = %q, %v; want Europe/Berlin", tz, got, err)
		}
	}
}

// Editors read the directory of these files; nothing of a write that fails stays.
func TestNetworkInfoThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "1.json")
	if err := os.MkdirAll(filepath.Join(file, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeJSON(file, networkInfo{}); err == nil {
		t.Error("a file takes the place of a directory")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%d files are left, %v; want the directory alone", len(left), err)
	}
}
