package netlab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// maxLines is how many lines of a program are kept; older ones are
	// forgotten, the test's log has them.
	maxLines = 10_000

	// maxLine is where a longer line is cut into several, in bytes.
	maxLine = 64 << 10

	// drainTime is how long the last words of a dead program may take
	// through the pipe. Its children may keep the pipe open for ever.
	drainTime = 100 * time.Millisecond
)

// commandName is the program's name as lines are labelled with.
func commandName(cmd *exec.Cmd) string {
	if i := slices.Index(cmd.Args, "--"); i >= 0 && i+1 < len(cmd.Args) && filepath.Base(cmd.Path) == "nsenter" {
		return filepath.Base(cmd.Args[i+1])
	}
	return filepath.Base(cmd.Path)
}

// wait reaps the process, and lets the reader know when there is no more to
// come from it.
func (r *procRun) wait() {
	r.err = r.cmd.Wait()
	close(r.exited)
	// A failure means that the output has ended already.
	_ = r.output.SetReadDeadline(time.Now().Add(drainTime))
}

// readLines reads until nobody can write any more.
func (r *procRun) readLines(log func(string)) {
	defer close(r.read)
	in := bufio.NewReaderSize(r.output, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		if text := strings.TrimRight(string(line), "\r\n"); text != "" || err == nil {
			log(text)
			r.lines.add(text)
		}
		switch {
		case err == nil, errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, os.ErrDeadlineExceeded):
			r.lines.end(r.err)
			_ = r.output.SetReadDeadline(time.Time{})
		default:
			<-r.exited
			r.lines.end(r.err)
			return
		}
	}
}

// transcript is the lines of one run.
type transcript struct {
	mu      sync.Mutex // guards below
	lines   []string
	next    int           // the first line that wait has not passed
	changed chan struct{} // closed and replaced with every change
	ended   bool
	err     error // of the process, valid when ended
}

func newTranscript() *transcript { return &transcript{changed: make(chan struct{})} }

func (t *transcript) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == maxLines {
		t.lines = slices.Delete(t.lines, 0, maxLines/2)
		t.next = max(0, t.next-maxLines/2)
	}
	t.lines = append(t.lines, line)
	t.notifyLocked()
}

func (t *transcript) end(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended, t.err = true, err
	t.notifyLocked()
}

func (t *transcript) notifyLocked() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// wait is Proc.WaitLine.
func (t *transcript) wait(ctx context.Context, substr string) (string, error) {
	for {
		line, changed, err := t.find(substr)
		if changed == nil {
			return line, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// find returns a line, an error, or a channel that is closed when it is time
// to look again.
func (t *transcript) find(substr string) (line string, again <-chan struct{}, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, line := range t.lines[t.next:] {
		if strings.Contains(line, substr) {
			t.next += i + 1
			return line, nil, nil
		}
	}
	if t.ended {
		return "", nil, fmt.Errorf("it ended: %s", exitText(t.err))
	}
	return "", t.changed, nil
}

func exitText(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}
