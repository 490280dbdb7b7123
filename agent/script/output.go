package script

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	// logRoom is how many bytes of output a server takes of all scripts of a
	// workspace (reference: agent §5), less what is said about them.
	logRoom = 1<<20 - 64<<10
	// maxLine is where a line is cut into two, in bytes: an end may never come.
	maxLine = 16 << 10
	// lineCost is what a line costs a server besides its text, in bytes
	// (reference: agent §5).
	lineCost = 21
)

// output is what one script prints, in all its runs. Its file gets all of it,
// the events the first half of its room and, at the end of a run, the last
// lines that fit into the other half.
type output struct {
	script Script
	path   string
	report func(Event)

	mu      sync.Mutex // guards below
	head    int        // bytes that may still be told at once
	tail    int        // bytes that may still be told at the ends of runs
	kept    []Line     // the last lines that were not told
	size    int        // bytes of kept
	left    int        // lines that were dropped for good
	file    *os.File   // nil before the first run, and when it could not be opened
	failure error      // why the file is not whole
}

// newOutput shares the room of a log between the scripts.
func newOutput(s Script, path string, scripts int, report func(Event)) *output {
	room := logRoom / max(scripts, 1)
	return &output{script: s, path: path, report: report, head: room / 2, tail: room / 2}
}

// say tells a line that the script did not print.
func (o *output) say(isError bool, format string, args ...any) {
	o.line(isError, fmt.Sprintf(format, args...))
}

// line tells a line at once or keeps it for the end.
func (o *output) line(isError bool, text string) {
	l := Line{Source: o.script.Source, Time: time.Now(), Error: isError, Text: strings.ToValidUTF8(text, string(utf8.RuneError))}
	cost := len(l.Text) + lineCost
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.kept) == 0 && cost <= o.head {
		o.head -= cost
		o.report(Event{Line: &l})
		return
	}
	o.head = 0 // from here on only the end counts
	o.kept, o.size = append(o.kept, l), o.size+cost
	for o.size > o.tail && len(o.kept) > 0 {
		o.size -= len(o.kept[0].Text) + lineCost
		o.kept = o.kept[1:]
		o.left++
	}
}

// flush tells what was kept, after a word on what was not.
func (o *output) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if word := fmt.Sprintf("[%d lines are left out here; all of them are in %s]", o.left, o.path); o.left > 0 && len(word)+lineCost <= o.tail {
		o.report(Event{Line: &Line{Source: o.script.Source, Time: time.Now(), Text: word}})
		o.tail -= len(word) + lineCost // else a script that runs each second could fill the log with it
		o.left = 0
	}
	for _, l := range o.kept {
		o.report(Event{Line: &l})
	}
	o.tail -= o.size
	o.kept, o.size = nil, 0
}

// open sees to the file before a run; what is there of earlier runs stays, up
// to maxFile. A process that one of them has left may still print into it.
func (o *output) open() {
	o.mu.Lock()
	if o.file != nil && !tooLarge(o.path) {
		o.failure = nil
		o.mu.Unlock()
		return
	}
	old := o.file
	o.file, o.failure = openLog(o.path)
	err := o.failure
	o.mu.Unlock()
	if old != nil {
		_ = old.Close()
	}
	if err != nil {
		o.say(true, "its output goes to no file: %v", err)
	}
}

// close closes the file.
func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil {
		_ = o.file.Close()
		o.file = nil
	}
}

// write puts bytes into the file as they are. It says once that it cannot.
func (o *output) write(p []byte) {
	o.mu.Lock()
	var err error
	if o.file != nil && o.failure == nil {
		_, err = o.file.Write(p)
		o.failure = err
	}
	o.mu.Unlock()
	if err != nil {
		o.say(true, "its output is not whole in the file: %v", err)
	}
}

// follow reads r to its end, as lines.
func (o *output) follow(r io.Reader, isError bool) {
	var rest []byte
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		o.write(buf[:n])
		rest = o.lines(append(rest, buf[:n]...), isError)
		if err != nil {
			if len(rest) > 0 {
				o.line(isError, string(rest))
			}
			return
		}
	}
}

// lines tells the whole lines of p and returns the rest.
func (o *output) lines(p []byte, isError bool) (rest []byte) {
	for {
		end := bytes.IndexByte(p, '\n')
		switch {
		case end >= 0 && end <= maxLine:
			o.line(isError, string(bytes.TrimSuffix(p[:end], []byte("\r"))))
			p = p[end+1:]
		case len(p) > maxLine:
			cut := wholeRunes(p[:maxLine])
			o.line(isError, string(p[:cut]))
			p = p[cut:]
		default:
			return append([]byte(nil), p...)
		}
	}
}

// wholeRunes returns how many bytes of p there are before a rune that its end
// may cut.
func wholeRunes(p []byte) int {
	for i := len(p) - 1; i >= max(0, len(p)-utf8.UTFMax); i-- {
		if utf8.RuneStart(p[i]) {
			if utf8.FullRune(p[i:]) {
				return len(p)
			}
			return i
		}
	}
	return len(p)
}
