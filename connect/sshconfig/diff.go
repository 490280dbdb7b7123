package sshconfig

import (
	"bytes"
	"fmt"
	"slices"
)

// around is how many lines a diff shows around what differs.
const around = 3

// Diff returns what differs between two contents of the file name, as patch
// takes it; nothing when they are the same. It has one hunk, from the first line
// that differs to the last.
func Diff(name string, before, after []byte) []byte {
	if bytes.Equal(before, after) {
		return nil
	}
	a, b := slices.Collect(bytes.Lines(before)), slices.Collect(bytes.Lines(after))
	head := common(a, b)
	restA, restB := slices.Clone(a[head:]), slices.Clone(b[head:])
	slices.Reverse(restA)
	slices.Reverse(restB)
	tail := common(restA, restB)
	from, until := max(0, head-around), min(tail, around)

	var out bytes.Buffer
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", name, name)
	fmt.Fprintf(&out, "@@ -%s +%s @@\n", lineRange(from, len(a)-tail+until), lineRange(from, len(b)-tail+until))
	writeLines(&out, ' ', a[from:head])
	writeLines(&out, '-', a[head:len(a)-tail])
	writeLines(&out, '+', b[head:len(b)-tail])
	writeLines(&out, ' ', a[len(a)-tail:len(a)-tail+until])
	return out.Bytes()
}

// common is how many lines a and b begin with in common.
func common(a, b [][]byte) int {
	n := 0
	for n < len(a) && n < len(b) && bytes.Equal(a[n], b[n]) {
		n++
	}
	return n
}

// lineRange is the lines of a slice from:until as hunks name them.
func lineRange(from, until int) string {
	if from == until {
		return fmt.Sprintf("%d,0", from) // after that line
	}
	return fmt.Sprintf("%d,%d", from+1, until-from)
}

func writeLines(out *bytes.Buffer, sign byte, lines [][]byte) {
	for _, line := range lines {
		out.WriteByte(sign)
		out.Write(line)
		if !bytes.HasSuffix(line, []byte("\n")) {
			out.WriteString("\n\\ No newline at end of file\n")
		}
	}
}
