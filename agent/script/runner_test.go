//go:build linux

package script

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what takes a moment.
const patience = 30 * time.Second

// lab is a Runner and what it reported.
type lab struct {
	*Runner
	t   *testing.T
	dir string

	mu     sync.Mutex
	events []Event
	news   chan struct{}
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, dir: t.TempDir(), news: make(chan struct{})}
	l.Runner = New(Config{
		LogDir: filepath.Join(l.dir, "logs"), DataDir: l.dir, Report: l.report,
		Login: func(context.Context) (Login, error) {
			return Login{Shell: "/bin/bash", Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir}, Dir: l.dir}, nil
		},
	})
	t.Cleanup(func() { l.Close() })
	return l
}

func (l *lab) report(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
	close(l.news)
	l.news = make(chan struct{})
}

// until waits for an event and returns all until then.
func (l *lab) until(what string, is func(Event) bool) []Event {
	l.t.Helper()
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		events, news := slices.Clone(l.events), l.news
		l.mu.Unlock()
		if slices.ContainsFunc(events, is) {
			return events
		}
		select {
		case <-news:
		case <-deadline:
			l.t.Fatalf("no %s within %v; events: %s", what, patience, show(events))
		}
	}
}

func (l *lab) untilPhase(phases ...Phase) []Event {
	l.t.Helper()
	return l.until(fmt.Sprint(phases), func(e Event) bool { return e.Phase != nil && slices.Contains(phases, e.Phase.Phase) })
}

func show(events []Event) string {
	var b strings.Builder
	for _, e := range events {
		switch {
		case e.Line != nil:
			fmt.Fprintf(&b, "\n  line %v %.80q", e.Line.Error, e.Line.Text)
		case e.Run != nil:
			fmt.Fprintf(&b, "\n  run %+v", *e.Run)
		case e.Phase != nil:
			fmt.Fprintf(&b, "\n  phase %s", e.Phase.Phase)
		}
	}
	return b.String()
}

// texts are the lines of a script, with "! " before those from stderr.
func texts(events []Event, s Script) (all []string) {
	for _, e := range events {
		if e.Line != nil && e.Line.Source == s.Source {
			mark := ""
			if e.Line.Error {
				mark = "! "
			}
			all = append(all, mark+e.Line.Text)
		}
	}
	return all
}

// run is the report of a script's run.
func run(t *testing.T, events []Event, s Script, stage Stage) Run {
	t.Helper()
	for _, e := range events {
		if e.Run != nil && e.Run.Script == s.ID && e.Run.Stage == stage {
			return *e.Run
		}
	}
	t.Fatalf("script %s has no run at %s; events: %s", s.Name, stage, show(events))
	return Run{}
}

func atStart(name, text string) Script {
	return Script{ID: uuid.New(), Source: uuid.New(), Name: name, Text: text, OnStart: true}
}

func TestScriptsOfTheStart(t *testing.T) {
	for _, tc := range []struct {
		what, text string
		phase      Phase
		status     Status
		code       int
		lines      []string
	}{
		{"prints", "printf 'a\\r\\nb\\n'; printf 'no end'", Ready, OK, 0, []string{"a", "b", "no end"}},
		{"prints to stderr", "echo oops >&2", Ready, OK, 0, []string{"! oops"}},
		{"fails", "exit 3", StartError, ExitFailure, 3, nil},
		{"is killed", "kill -9 $$", StartError, ExitFailure, 137, nil},
		{"is not UTF-8", "printf 'a\\377b\\n'", Ready, OK, 0, []string{"a\ufffdb"}},
		{"is the user's shell's", "echo ${BASH_VERSION:+bash}", Ready, OK, 0, []string{"bash"}},
		{"names an interpreter", "#!/bin/sh\necho ${BASH_VERSION:-sh}", Ready, OK, 0, []string{"sh"}},
		{"names one with an argument", "#!/usr/bin/env -S bash -e\nfalse\necho on", StartError, ExitFailure, 1, nil},
		{"is awk", "#!/usr/bin/awk -f\nBEGIN { print 6*7 }", Ready, OK, 0, []string{"42"}},
		{"is long", "#" + strings.Repeat("x", 200<<10) + "\necho long", Ready, OK, 0, []string{"long"}},
		{"reads", "cat; echo at its end", Ready, OK, 0, []string{"at its end"}},
		{"names nothing that is", "#!/no/such/thing\n", StartError, ExitFailure, 255, []string{"! start /no/such/thing: fork/exec /no/such/thing: no such file or directory"}},
		{"has no lines of mercy", "head -c 40000 /dev/zero | tr '\\0' x", Ready, OK, 0, []string{strings.Repeat("x", maxLine), strings.Repeat("x", maxLine), strings.Repeat("x", 40000-2*maxLine)}},
	} {
		t.Run(tc.what, func(t *testing.T) {
			l := newLab(t)
			s := atStart("it", tc.text)
			l.Set([]Script{s})
			events := l.untilPhase(Ready, StartError, StartTimeout)
			if got := events[len(events)-1].Phase; got == nil || got.Phase != tc.phase {
				t.Errorf("phase = %+v, want %s", got, tc.phase)
			}
			if got := run(t, events, s, AtStart); got.Status != tc.status || got.ExitCode != tc.code {
				t.Errorf("run = %+v, want %s and %d", got, tc.status, tc.code)
			}
			if got := texts(events, s); !slices.Equal(got, tc.lines) {
				t.Errorf("lines = %.200q, want %.200q", got, tc.lines)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	l := newLab(t)
	first := atStart("First", "until [ -e go ]; do sleep 0.01; done; echo 1 >> order; exit 1")
	second := atStart("second", "#!/bin/bash\n# coder:after first\necho 2 >> order")
	beside := atStart("beside", "echo 0 >> order; touch go")
	circle := atStart("circle", "# coder:after circle\necho never >> order")
	lost := atStart("lost", "# coder:after nobody\ntrue")
	l.Set([]Script{second, first, circle, beside, lost})
	events := l.untilPhase(StartError)
	if got, err := os.ReadFile(filepath.Join(l.dir, "order")); err != nil || string(got) != "0\n1\n2\n" {
		t.Errorf("order = %q, %v, want 0, 1, 2", got, err)
	}
	if got := run(t, events, circle, AtStart); got.Status != ExitFailure {
		t.Errorf("script that waits for itself = %+v, want a failure", got)
	}
	if got := texts(events, lost); !slices.Equal(got, []string{"! coder:after nobody: there is no such script"}) {
		t.Errorf("lines of a script that waits for nobody = %q", got)
	}
}

// TestTimeout ends a script with a child that does not want to.
func TestTimeout(t *testing.T) {
	l := newLab(t)
	s := atStart("slow", "(trap '' TERM; echo $BASHPID > child; while :; do sleep 0.05; done) & echo begun; wait")
	s.Timeout = 300 * time.Millisecond
	l.Set([]Script{s})
	events := l.untilPhase(StartTimeout)
	if got := run(t, events, s, AtStart); got.Status != TimedOut || got.End.Sub(got.Start) > killGrace {
		t.Errorf("run = %+v, want it timed out as soon as it ends on SIGTERM", got)
	}
	if got := texts(events, s); len(got) != 2 || got[0] != "begun" || !strings.Contains(got[1], "its time") {
		t.Errorf("lines = %q, want that its time was over", got)
	}
	child, err := os.ReadFile(filepath.Join(l.dir, "child"))
	if err != nil {
		t.Fatal(err)
	}
	pid := strings.TrimSpace(string(child))
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for state := stateOf(pid); state != "" && state != "Z"; state = stateOf(pid) {
		select { // it dies a moment after it was killed
		case <-tick.C:
		case <-deadline:
			t.Fatalf("child %s of the group is in state %s, want it gone", pid, state)
		}
	}
}

// stateOf is the letter of a process's state, "" when there is none.
func stateOf(pid string) string {
	raw, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	state, _, _ := strings.Cut(rest, " ")
	return state
}

// TestPipesLeftOpen starts what servers are started with in scripts.
func TestPipesLeftOpen(t *testing.T) {
	l := newLab(t)
	s := atStart("server", "(until [ -e go ]; do sleep 0.01; done; echo late) & echo early")
	l.Set([]Script{s})
	events := l.untilPhase(Ready)
	if got := run(t, events, s, AtStart); got.Status != PipesLeftOpen || got.ExitCode != 0 {
		t.Errorf("run = %+v, want that its pipes are open", got)
	}
	if err := os.WriteFile(filepath.Join(l.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l.until("late line", func(e Event) bool { return e.Line != nil && e.Line.Text == "late" })
}

// TestMuchOutput keeps head and tail, and all of it in the file.
func TestMuchOutput(t *testing.T) {
	l := newLab(t)
	s, other := atStart("much", "seq 1 300000; echo end"), atStart("other", "echo heard")
	l.Set([]Script{s, other})
	events := l.untilPhase(Ready)
	lines := texts(events, s)
	if len(lines) < 100 || lines[0] != "1" || lines[len(lines)-1] != "end" || lines[len(lines)-2] != "300000" {
		t.Fatalf("%d lines from %.20q to %.20q, want the first and the last", len(lines), lines[0], lines[len(lines)-1])
	}
	gap := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, "are left out here; all of them are in ") })
	if gap < 0 {
		t.Fatal("no line says what is left out")
	}
	size := 0
	for _, line := range lines {
		size += len(line) + lineCost
	}
	if size > logRoom/2+1000 {
		t.Errorf("its lines cost %d bytes, want half of the room for two scripts at most", size)
	}
	raw, err := os.ReadFile(filepath.Join(l.dir, "logs", "coder-script-"+s.Source.String()+".log"))
	if err != nil || strings.Count(string(raw), "\n") != 300001 {
		t.Errorf("the file has %d lines, %v, want all", strings.Count(string(raw), "\n"), err)
	}
	if got := texts(events, other); !slices.Equal(got, []string{"heard"}) {
		t.Errorf("lines of the other script = %q", got)
	}
}

func TestLogFiles(t *testing.T) {
	l := newLab(t)
	home := atStart("home", "echo 1")
	home.LogPath = "~/a/$NAME.log"
	relative := atStart("relative", "echo 2")
	relative.LogPath = "b.log"
	full := atStart("full", "echo 3")
	full.LogPath = "/dev/full"
	nowhere := atStart("nowhere", "echo 4")
	nowhere.LogPath = "/proc/x/y.log"
	l.Set([]Script{home, relative, full, nowhere})
	events := l.untilPhase(Ready)
	for path, want := range map[string]string{"a/.log": "1\n", "logs/b.log": "2\n"} {
		path = filepath.Join(l.dir, path)
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("%s = %q, %v, want %q", path, got, err, want)
		}
		if st, err := os.Stat(path); err == nil && st.Mode() != 0o600 {
			t.Errorf("%s has mode %v, want it for its owner alone", path, st.Mode())
		}
	}
	if got := texts(events, full); len(got) != 2 || !strings.Contains(got[0]+got[1], "no space left on device") {
		t.Errorf("lines with a full disk = %q, want the output and a word on the file", got)
	}
	if got := texts(events, nowhere); len(got) != 2 || !strings.Contains(got[0], "its output goes to no file") {
		t.Errorf("lines without a file = %q, want the output and a word on the file", got)
	}
}

func TestStop(t *testing.T) {
	l := newLab(t)
	hang := atStart("hang", "echo hangs; sleep 1000")
	clean := Script{ID: uuid.New(), Source: uuid.New(), Name: "clean", Text: "echo cleaned", OnStop: true}
	never := Script{ID: uuid.New(), Source: uuid.New(), Name: "never", Text: "echo stuck; sleep 1000", OnStop: true, Timeout: 200 * time.Millisecond}
	l.Set([]Script{hang, clean, never})
	l.until("start", func(e Event) bool { return e.Line != nil && e.Line.Text == "hangs" })
	l.Stop(t.Context())
	events := l.untilPhase(ShutdownTimeout)
	if got := run(t, events, hang, AtStart); got.Status != ExitFailure || got.ExitCode != 128+int(syscall.SIGTERM) {
		t.Errorf("start script at the stop = %+v, want it ended", got)
	}
	if got := run(t, events, clean, AtStop); got.Status != OK {
		t.Errorf("stop script = %+v, want it to run", got)
	}
	if got := run(t, events, never, AtStop); got.Status != TimedOut {
		t.Errorf("stop script that hangs = %+v, want it timed out", got)
	}
	l.Set([]Script{atStart("late", "touch late")})
	l.Stop(t.Context())
	if _, err := os.Stat(filepath.Join(l.dir, "late")); err == nil {
		t.Error("a script ran after the stop")
	}
}

// TestStopInTime bounds all of the stop, whatever its scripts take.
func TestStopInTime(t *testing.T) {
	l := newLab(t)
	l.Set([]Script{{ID: uuid.New(), Source: uuid.New(), Name: "slow", Text: "sleep 1000", OnStop: true}})
	l.untilPhase(Ready)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	l.Stop(ctx)
	l.untilPhase(ShutdownTimeout)
}

func TestClock(t *testing.T) {
	l := newLab(t)
	s := Script{ID: uuid.New(), Source: uuid.New(), Name: "tick", Text: "echo tick", Cron: "* * * * *"}
	bad := Script{ID: uuid.New(), Source: uuid.New(), Name: "bad", Text: "echo never", Cron: "61 * * * * *"}
	l.Set([]Script{s, bad})
	events := l.until("run by the clock", func(e Event) bool { return e.Run != nil && e.Run.Stage == ByCron })
	if got := texts(events, s); len(got) == 0 || got[0] != "tick" {
		t.Errorf("lines = %q, want tick", got)
	}
	l.until("word on a wrong cron", func(e Event) bool {
		return e.Line != nil && e.Line.Error && strings.Contains(e.Line.Text, "61 * * * * *")
	})
	s.Text = "echo tock"
	l.Set([]Script{s})
	l.until("run of the new text", func(e Event) bool { return e.Line != nil && e.Line.Text == "tock" })
}

func TestEnvironmentOfScripts(t *testing.T) {
	l := newLab(t)
	s := atStart("env", `echo "$CODER_SCRIPT_DATA_DIR"; echo "$CODER_SCRIPT_BIN_DIR"; stat -c %a "$CODER_SCRIPT_DATA_DIR" "$CODER_SCRIPT_BIN_DIR"; pwd; ls -A "$CODER_SCRIPT_DATA_DIR" | wc -l`)
	l.Set([]Script{s})
	data := filepath.Join(l.dir, "coder-script-data")
	want := []string{filepath.Join(data, s.Source.String()), filepath.Join(data, "bin"), "700", "700", l.dir, "1"}
	if got := texts(l.untilPhase(Ready), s); !slices.Equal(got, want) {
		t.Errorf("what a script finds = %q, want %q", got, want)
	}
	if left, err := os.ReadDir(filepath.Join(data, s.Source.String())); err != nil || len(left) != 0 {
		t.Errorf("files after the run = %v, %v, want none", left, err)
	}
}

// TestStopLetsNothingBegin stops while one script waits for another.
func TestStopLetsNothingBegin(t *testing.T) {
	l := newLab(t)
	first := atStart("first", "echo runs; sleep 1000")
	second := atStart("second", "# coder:after first\ntouch began; sleep 1000")
	l.Set([]Script{first, second})
	l.until("start", func(e Event) bool { return e.Line != nil && e.Line.Text == "runs" })
	l.Stop(t.Context())
	l.Close()
	if _, err := os.Stat(filepath.Join(l.dir, "began")); err == nil {
		t.Error("a script began after the stop")
	}
	if got := texts(l.untilPhase(Off), second); len(got) != 1 || !strings.Contains(got[0], "did not run") {
		t.Errorf("lines of the script = %q, want that it did not run", got)
	}
}

// TestWordOnMuchOutput runs a script again and again whose room is used up: the
// word on what is left out must not fill the log of the others.
func TestWordOnMuchOutput(t *testing.T) {
	told := 0
	o := newOutput(Script{}, "/x.log", 1, func(e Event) { told += len(e.Line.Text) + lineCost })
	for range 2000 {
		for range 100 {
			o.line(false, strings.Repeat("x", 100))
		}
		o.flush()
	}
	if most := 1 << 20; told > most {
		t.Errorf("%d bytes were told, want at most the %d that a server takes", told, most)
	}
}
