//go:build linux

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/berthdev/berth/tailnet/netlab"
)

// beat is the time between two lines that a Shell is asked to echo: short
// beside any stall that a person notices.
const beat = 20 * time.Millisecond

// Shell is a login shell in a workspace that stays open. All the time it is
// asked to echo numbers, so that it is known when bytes passed both ways, and
// that none was lost.
type Shell struct {
	*netlab.Proc

	t      netlab.TB
	info   string // directory of what coder ssh knows of the path; or ""
	stdin  *os.File
	stop   chan struct{}
	ticker sync.WaitGroup
	clock  *clock

	mu      sync.Mutex // guards below
	partial []byte     // of the last line
	asked   int        // the number that was last sent
	heard   int        // the number that came last
	at      time.Time  // when it came
	silence time.Duration
	wrong   string        // the first line that was not the next number
	changed chan struct{} // closed and replaced with every number
}

// Shell opens a shell with `coder ssh` and returns when it has answered.
func (u *User) Shell(workspace string) *Shell {
	u.world.t.Helper()
	dir, err := os.MkdirTemp(u.world.dir, "path-")
	if err != nil {
		u.world.t.Fatalf("open a shell: %v", err)
	}
	s := u.Watch(u.Coder(context.Background(), "ssh",
		"--network-info-dir", dir, "--network-info-interval", "250ms", workspace))
	s.info = dir
	return s
}

// Watch is Shell for any command that becomes a shell in a workspace.
func (u *User) Watch(cmd *exec.Cmd) *Shell {
	t := u.world.t
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatalf("open a shell: %v", err)
	}
	s := &Shell{t: t, stdin: w, stop: make(chan struct{}), clock: newClock(t), at: time.Now(), changed: make(chan struct{})}
	cmd.Stdin, cmd.Stdout = r, echoes{s}
	s.Proc = u.Host.Start(cmd)
	r.Close()
	s.ticker.Go(s.ask)
	t.Cleanup(s.close)

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := s.Await(ctx); err != nil {
		t.Fatalf("open a shell: %v", err)
	}
	s.Silence()
	return s
}

// close says what was wrong all the time.
func (s *Shell) close() {
	close(s.stop)
	s.stdin.Close()
	s.ticker.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wrong != "" {
		s.t.Errorf("the shell echoed %s", s.wrong)
	}
}

// ask asks for the next number with every beat. Its end is that of stdin.
func (s *Shell) ask() {
	ticks := time.NewTicker(beat)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
		case <-s.stop:
			return
		}
		s.mu.Lock()
		s.asked++
		n := s.asked
		s.mu.Unlock()
		if _, err := fmt.Fprintf(s.stdin, "echo beat-%d\n", n); err != nil {
			return
		}
	}
}

// echoes takes what the shell writes.
type echoes struct{ *Shell }

func (e echoes) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.partial = append(e.partial, p...)
	for {
		line, rest, ok := bytes.Cut(e.partial, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		e.partial = rest
		if text, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "beat-"); ok {
			e.hearLocked(text)
		}
	}
}

func (s *Shell) hearLocked(text string) {
	n, err := strconv.Atoi(text)
	if s.wrong == "" && (err != nil || n != s.heard+1) {
		s.wrong = fmt.Sprintf("%q after %d", text, s.heard)
	}
	now := time.Now()
	s.silence = max(s.silence, now.Sub(s.at))
	s.heard, s.at = n, now
	close(s.changed)
	s.changed = make(chan struct{})
}

// Await waits until a line that is sent after the call has come back, and
// returns how long that took. It fails when ctx ends and when the shell does.
func (s *Shell) Await(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	s.mu.Lock()
	want := s.asked + 1
	s.mu.Unlock()
	for {
		s.mu.Lock()
		heard, changed := s.heard, s.changed
		s.mu.Unlock()
		if heard >= want {
			return time.Since(began), nil
		}
		select {
		case <-changed:
		case <-s.Done():
			return 0, fmt.Errorf("the shell ended: %s", s.Output())
		case <-ctx.Done():
			return 0, fmt.Errorf("no echo of line %d, last was %d, %v ago: %w", want, heard, time.Since(began), ctx.Err())
		}
	}
}

// MustGoOn uses the shell for d and fails the test when it is silent for longer
// than limit.
func (s *Shell) MustGoOn(d, limit time.Duration) {
	s.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		s.MustAwait(limit)
	}
}

// MustAwait is Await for at most limit, which fails the test. The time in which
// the machine stood still does not count.
func (s *Shell) MustAwait(limit time.Duration) time.Duration {
	s.t.Helper()
	began := s.clock.now()
	for left := limit; ; {
		ctx, cancel := context.WithTimeout(context.Background(), left)
		_, err := s.Await(ctx)
		cancel()
		if err == nil {
			return s.clock.now() - began
		}
		left = limit - (s.clock.now() - began)
		if left <= 0 || !errors.Is(err, context.DeadlineExceeded) {
			s.t.Fatalf("the open shell does not answer within %v: %v", limit, err)
		}
	}
}

// Silence is the longest time in which nothing came back, since the shell was
// opened or Silence was called last. A silence that lasts counts.
func (s *Shell) Silence() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	longest := max(s.silence, now.Sub(s.at))
	s.silence, s.at = 0, now
	return longest
}
