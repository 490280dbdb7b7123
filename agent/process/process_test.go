//go:build linux

package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what should take no time.
const patience = 20 * time.Second

func within20s(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func newProcesses(t *testing.T, cfg Config) *Processes {
	t.Helper()
	dir := t.TempDir()
	cfg.Login = func(context.Context) (Login, error) {
		return Login{Shell: "/bin/sh", Env: append(os.Environ(), "FROM=login"), Dir: dir}, nil
	}
	cfg.Start, cfg.Log = (*exec.Cmd).Start, slog.New(slog.DiscardHandler)
	p := New(cfg)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func mustStart(t *testing.T, p *Processes, command string) Info {
	t.Helper()
	info, err := p.Start(t.Context(), Request{Command: command})
	if err != nil {
		t.Fatalf("Start(%q): %v", command, err)
	}
	return info
}

// mustEnd waits for the end of a command.
func mustEnd(t *testing.T, p *Processes, id uuid.UUID) Output {
	t.Helper()
	o, err := p.Output(within20s(t), id, true)
	if err != nil || o.Running {
		t.Fatalf("Output with wait = %+v, %v; want that it has ended", o, err)
	}
	return o
}

func TestCommandRunsAsALoginDoes(t *testing.T) {
	p := newProcesses(t, Config{})
	dir := t.TempDir()
	info, err := p.Start(t.Context(), Request{
		Command: "pwd; echo $FROM $ALSO >&2; cat; exit 3", Dir: dir, Env: map[string]string{"FROM": "request", "ALSO": "this"}, Background: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	o := mustEnd(t, p, info.ID)
	if want := dir + "\nrequest this\n"; o.Output != want || *o.ExitCode != 3 || o.Signal != "" || o.Ended == nil || !o.Background {
		t.Errorf("output = %+v with code %d, want %q and 3", o, *o.ExitCode, want)
	}
	if o := mustEnd(t, p, mustStart(t, p, "echo $FROM").ID); o.Output != "login\n" {
		t.Errorf("output = %q, want login", o.Output)
	}
}

func TestRequestsThatCannotWork(t *testing.T) {
	p := newProcesses(t, Config{})
	for _, req := range []Request{
		{},
		{Command: " "},
		{Command: "a\x00"},
		{Command: strings.Repeat("x", maxCommand+1)},
		{Command: "true", Dir: "/none"},
		{Command: "true", Dir: "/etc/passwd"},
		{Command: "true", Env: map[string]string{"": "x"}},
		{Command: "true", Env: map[string]string{"A=B": "x"}},
		{Command: "true", Env: map[string]string{"A": "\x00"}},
	} {
		if _, err := p.Start(t.Context(), req); !errors.Is(err, ErrInvalid) {
			t.Errorf("Start of %.40q = %v, want ErrInvalid", fmt.Sprint(req), err)
		}
	}
	if _, err := p.Output(t.Context(), uuid.New(), false); !errors.Is(err, ErrUnknown) {
		t.Errorf("Output of nothing = %v, want ErrUnknown", err)
	}
	if err := p.Signal(uuid.New(), "kill"); !errors.Is(err, ErrUnknown) {
		t.Errorf("Signal to nothing = %v, want ErrUnknown", err)
	}
	if p.Active() != 0 {
		t.Errorf("%d commands are active, want none", p.Active())
	}
}

func TestOutputRingKeepsBothEnds(t *testing.T) {
	for _, size := range []int{0, 1, keep, keep + 1, 2 * keep, 2*keep + 1, 5*keep + 7} {
		for _, piece := range []int{1000, keep, 4 * keep} {
			all := make([]byte, size)
			for i := range all {
				all[i] = 'a' + byte(i/7%26)
			}
			var r ring
			for part := range slices.Chunk(all, piece) {
				r.write(part)
			}
			want := string(all)
			if left := size - 2*keep; left > 0 {
				want = fmt.Sprintf("%s\n[%d bytes are left out here]\n%s", all[:keep], left, all[size-keep:])
			}
			if got := r.text(); got != want || r.omitted() != uint64(max(0, size-2*keep)) {
				t.Errorf("%d bytes in pieces of %d: %d bytes are kept and %d omitted, want %d bytes", size, piece, len(got), r.omitted(), len(want))
			}
		}
	}
}

func TestLongOutputIsCut(t *testing.T) {
	p := newProcesses(t, Config{})
	o := mustEnd(t, p, mustStart(t, p, "echo begin; head -c 1000000 /dev/zero | tr '\\0' x; echo end").ID)
	if !strings.HasPrefix(o.Output, "begin\nxxx") || !strings.HasSuffix(o.Output, "xxxend\n") || o.Bytes != 1_000_010 || o.Omitted != o.Bytes-2*keep {
		t.Errorf("%d bytes are kept, %d of %d omitted; want both ends of 1000010", len(o.Output), o.Omitted, o.Bytes)
	}
}

// TestSignalReachesTheGroup waits for a child of the leader, which prints its id.
func TestSignalReachesTheGroup(t *testing.T) {
	p := newProcesses(t, Config{})
	for name, want := range map[string]string{"kill": "killed", "terminate": "terminated"} {
		info := mustStart(t, p, "sleep 1000 & echo $!; wait")
		child := await(t, p, info.ID, "\n")
		if err := p.Signal(info.ID, name); err != nil {
			t.Fatal(err)
		}
		o := mustEnd(t, p, info.ID)
		if o.Signal != want || *o.ExitCode < 128 {
			t.Errorf("%s: it ended with %q and code %d, want %s", name, o.Signal, *o.ExitCode, want)
		}
		awaitGone(t, child)
		if err := p.Signal(info.ID, name); !errors.Is(err, ErrOver) {
			t.Errorf("Signal after the end = %v, want ErrOver", err)
		}
	}
	info := mustStart(t, p, "trap 'echo got; exit 7' INT; echo set; while :; do sleep 0.01; done")
	await(t, p, info.ID, "set\n")
	if err := p.Signal(info.ID, "interrupt"); err != nil {
		t.Fatal(err)
	}
	if o := mustEnd(t, p, info.ID); !strings.Contains(o.Output, "got\n") || *o.ExitCode != 7 {
		t.Errorf("interrupt: output %q with code %d, want got and 7", o.Output, *o.ExitCode)
	}
	if err := p.Signal(info.ID, "hangup"); !errors.Is(err, ErrInvalid) {
		t.Errorf("Signal hangup = %v, want ErrInvalid", err)
	}
}

// await returns what a command has printed once that ends with a text.
func await(t *testing.T, p *Processes, id uuid.UUID, end string) string {
	t.Helper()
	ctx := within20s(t)
	for {
		o, err := p.Output(ctx, id, false)
		if err != nil || ctx.Err() != nil {
			t.Fatalf("output = %+v, %v; want %q at its end", o, err, end)
		}
		if strings.HasSuffix(o.Output, end) {
			return strings.TrimSpace(o.Output)
		}
	}
}

// awaitGone waits until a process has ended; somebody else may reap it.
func awaitGone(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	for ctx := within20s(t); ctx.Err() == nil; {
		stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
	}
	t.Errorf("process %d is still there", n)
	_ = syscall.Kill(n, syscall.SIGKILL)
}

// TestWhatACommandLeavesBehind is a command that ends before its child, whose
// output then still comes and who can be signalled.
func TestWhatACommandLeavesBehind(t *testing.T) {
	p := newProcesses(t, Config{})
	info := mustStart(t, p, "(trap 'echo late; exit' TERM; echo ready; while :; do sleep 0.01; done) & exit 5")
	o := mustEnd(t, p, info.ID)
	if *o.ExitCode != 5 || !o.Open || p.Active() != 1 {
		t.Errorf("it is %+v with code %d and %d are active; want 5, open output and 1", o.Info, *o.ExitCode, p.Active())
	}
	await(t, p, info.ID, "ready\n")
	if err := p.Signal(info.ID, "terminate"); err != nil {
		t.Fatal(err)
	}
	await(t, p, info.ID, "late\n")
	awaitActive(t, p, 0)
	if err := p.Signal(info.ID, "terminate"); !errors.Is(err, ErrOver) {
		t.Errorf("Signal after the end = %v, want ErrOver", err)
	}
}

func awaitActive(t *testing.T, p *Processes, want int) {
	t.Helper()
	for ctx := within20s(t); p.Active() != want; {
		if ctx.Err() != nil {
			t.Fatalf("%d commands are active, want %d", p.Active(), want)
		}
	}
}

func TestLimitsOfNumber(t *testing.T) {
	p := newProcesses(t, Config{Running: 2, Ended: 3})
	first := mustStart(t, p, "sleep 1000")
	mustStart(t, p, "sleep 1000")
	if _, err := p.Start(t.Context(), Request{Command: "true"}); !errors.Is(err, ErrTooMany) {
		t.Errorf("Start of a third = %v, want ErrTooMany", err)
	}
	if err := p.Signal(first.ID, "kill"); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, p, 1)
	for range 3 {
		info := mustStart(t, p, "true")
		mustEnd(t, p, info.ID)
		awaitActive(t, p, 1)
	}
	if _, err := p.Output(t.Context(), first.ID, false); !errors.Is(err, ErrUnknown) {
		t.Errorf("Output of one that ended before three others = %v, want ErrUnknown", err)
	}
	if list := p.List(); len(list) != 4 || !list[3].Running || list[0].Started.Before(list[1].Started) {
		t.Errorf("List = %+v, want three that ended and one that runs, the newest first", list)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	p := newProcesses(t, Config{})
	info := mustStart(t, p, "sleep 1000")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if o, err := p.Output(ctx, info.ID, true); err != nil || !o.Running {
		t.Errorf("Output = %+v, %v; want that it runs", o, err)
	}
}

// TestCloseEndsAll has one that does not heed SIGTERM, and one that is not of the
// group any more and holds the output.
func TestCloseEndsAll(t *testing.T) {
	p := newProcesses(t, Config{Grace: 200 * time.Millisecond})
	stubborn := mustStart(t, p, "trap '' TERM; echo set; while :; do sleep 0.01; done")
	await(t, p, stubborn.ID, "set\n")
	left := await(t, p, mustStart(t, p, "setsid sh -c 'echo $$; exec sleep 1000'").ID, "\n")
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if o := mustEnd(t, p, stubborn.ID); o.Signal != "killed" || p.Active() != 0 {
		t.Errorf("it ended with %q and %d are active; want killed and none", o.Signal, p.Active())
	}
	if _, err := p.Start(t.Context(), Request{Command: "true"}); !errors.Is(err, ErrClosed) {
		t.Errorf("Start after Close = %v, want ErrClosed", err)
	}
	pid, err := strconv.Atoi(left)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Errorf("what moved to a session of its own: %v, want it there", err)
	}
}
