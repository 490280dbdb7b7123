package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/berthdev/berth/connect/forward"
)

// forwardDisplay tells what is forwarded. The methods may be called
// concurrently.
type forwardDisplay interface {
	began(fw *forward.Forward, process string)
	ended(fw *forward.Forward)
	failed(fw *forward.Forward, err error) // a connection came to nothing
	stopped(err error)                     // the workspace is; nil: it runs again
	ready()
	refresh() // shows numbers that may have changed
}

// forwardLines prints a line for each change.
type forwardLines struct {
	out       io.Writer
	workspace string

	mu sync.Mutex // guards out
}

func (l *forwardLines) began(fw *forward.Forward, process string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, "Forwarding %s %s to %s%s\n", fw.Rule().Network, addresses(fw), remote(l.workspace, fw.Rule()), named(process))
}

func (l *forwardLines) ended(fw *forward.Forward) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, "Ended %s %s: nothing listens on %s any more\n", fw.Rule().Network, addresses(fw), remote(l.workspace, fw.Rule()))
}

func (l *forwardLines) failed(fw *forward.Forward, err error) {
	fmt.Fprintf(os.Stderr, "No connection to %s: %s\n", remote(l.workspace, fw.Rule()), printable(err.Error()))
}

func (l *forwardLines) stopped(err error) {
	text := fmt.Sprintf("Workspace %q is running again.", l.workspace)
	if err != nil {
		text = capital(err.Error()) + ". Connections are refused until it is started."
	}
	fmt.Fprintln(os.Stderr, text)
}

func (l *forwardLines) ready() {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.out, "Ready. Interrupt to end.")
}

func (l *forwardLines) refresh() {}

// remote names the workspace's side of a rule.
func remote(workspace string, r forward.Rule) string {
	if r.Target.Host == "" && r.Target.Path == "" {
		return fmt.Sprintf("port %d of %s", r.Target.Port, workspace)
	}
	return fmt.Sprintf("%s through %s", printable(r.Target.String()), workspace)
}

func named(process string) string {
	if process == "" {
		return ""
	}
	return " (" + printable(process) + ")"
}

// forwardJSON prints an object for each change.
type forwardJSON struct {
	out io.Writer

	mu sync.Mutex // guards out
}

// forwardEvent is a line of --output json.
type forwardEvent struct {
	Event   string   `json:"event"` // listening, ready, failed, ended, stopped or running
	Network string   `json:"network,omitempty"`
	Local   []string `json:"local,omitempty"`
	Remote  string   `json:"remote,omitempty"` // port, host:port or path
	Process string   `json:"process,omitempty"`
	Error   string   `json:"error,omitempty"` // of failed and stopped
}

func (j *forwardJSON) print(e forwardEvent) {
	j.mu.Lock()
	defer j.mu.Unlock()
	_ = json.NewEncoder(j.out).Encode(e) // nobody reads any more
}

func eventOf(event string, fw *forward.Forward, process string) forwardEvent {
	r := fw.Rule()
	return forwardEvent{Event: event, Network: r.Network, Local: fw.Addresses(), Remote: r.Target.String(), Process: process}
}

func (j *forwardJSON) began(fw *forward.Forward, process string) {
	j.print(eventOf("listening", fw, process))
}
func (j *forwardJSON) ended(fw *forward.Forward) { j.print(eventOf("ended", fw, "")) }
func (j *forwardJSON) failed(fw *forward.Forward, err error) {
	e := eventOf("failed", fw, "")
	e.Error = err.Error()
	j.print(e)
}

func (j *forwardJSON) stopped(err error) {
	if err == nil {
		j.print(forwardEvent{Event: "running"})
		return
	}
	j.print(forwardEvent{Event: "stopped", Error: err.Error()})
}
func (j *forwardJSON) ready()   { j.print(forwardEvent{Event: "ready"}) }
func (j *forwardJSON) refresh() {}

// forwardTable is a table on a terminal that is drawn anew in its place.
type forwardTable struct {
	out       io.Writer
	workspace string

	mu    sync.Mutex // guards below and out
	rows  []tableRow
	shown string // what is on the terminal now; "" before ready
	begun bool
}

type tableRow struct {
	forward *forward.Forward
	process string
}

// failed does nothing: the row of a forward has its last failure.
func (t *forwardTable) failed(*forward.Forward, error) {}

// stopped shows in the failures of connections.
func (t *forwardTable) stopped(error) {}

func (t *forwardTable) began(fw *forward.Forward, process string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, tableRow{fw, process})
	t.drawLocked()
}

func (t *forwardTable) ended(fw *forward.Forward) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, row := range t.rows {
		if row.forward == fw {
			t.rows = append(t.rows[:i], t.rows[i+1:]...)
			break
		}
	}
	t.drawLocked()
}

func (t *forwardTable) ready() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begun = true
	t.drawLocked()
}

func (t *forwardTable) refresh() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drawLocked()
}

// drawLocked replaces what is shown if it has changed.
func (t *forwardTable) drawLocked() {
	if !t.begun {
		return
	}
	text := t.textLocked(ourTerminal().Columns, ourTerminal().Rows)
	if text == t.shown {
		return
	}
	up := ""
	if n := strings.Count(t.shown, "\n"); n > 0 {
		up = fmt.Sprintf("\x1b[%dA", n)
	}
	fmt.Fprint(t.out, up+"\r\x1b[J"+text)
	t.shown = text
}

// textLocked is the table, no line of which is wider than the terminal and
// which is not higher, since it could not be replaced then.
func (t *forwardTable) textLocked(columns, rows int) string {
	lines := [][]string{{"HERE", strings.ToUpper(t.workspace), "PROGRAM", "OPEN", "SENT", "RECEIVED", "LAST ERROR"}}
	for _, row := range t.rows {
		s := row.forward.Status()
		failure := ""
		if s.Failure != nil {
			failure = printable(s.Failure.Error())
		}
		lines = append(lines, []string{
			row.forward.Rule().Network + " " + addresses(row.forward), printable(row.forward.Rule().Target.String()), printable(row.process),
			fmt.Sprint(s.Open), binary(s.Sent), binary(s.Received), failure,
		})
	}
	var b strings.Builder
	_ = printTable(&b, lines)
	text := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if room := max(rows-2, 2); len(text) > room {
		text = append(text[:room-1], fmt.Sprintf("and %d more", len(text)-room+1))
	}
	for i, line := range text {
		if r := []rune(line); len(r) >= columns && columns > 1 {
			text[i] = string(r[:columns-1])
		}
	}
	return strings.Join(text, "\n") + "\n"
}

// binary is a number of bytes for people.
func binary(n uint64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1024, 0
	for value >= 1024 && unit < 4 {
		value, unit = value/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[unit])
}
