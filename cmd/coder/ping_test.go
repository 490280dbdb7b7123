//go:build linux

package main

import (
	"regexp"
	"syscall"
	"testing"
	"time"
)

func TestPings(t *testing.T) {
	var p pings
	for _, ms := range []time.Duration{3, 1, 2} {
		p.add(ms*time.Millisecond, true)
	}
	p.add(0, false)
	if got, want := p.String(), "3 of 4 answered: 1.0ms at least, 2.0ms on average, 3.0ms at most"; got != want {
		t.Errorf("three answers of four are %q, want %q", got, want)
	}
}

// TestPingGoesOnAtATerminal interrupts it there, after more pings than it makes
// without one.
func TestPingGoesOnAtATerminal(t *testing.T) {
	l := newLab(t)
	l.workspace(t, "ws")
	out, errs, code := finish(t, l.command("ping", "ws", "--wait", "1ms"))
	if n := len(regexp.MustCompile(`(?m)^pong from ws (direct|relay) via .+ in [0-9.]+ms$`).FindAllString(out, -1)); n != 10 || code != 0 {
		t.Errorf("ping without a terminal = %d, %q, want 10 pongs", code, out)
	}
	if !regexp.MustCompile(`^10 of 10 answered: [0-9.]+ms at least, [0-9.]+ms on average, [0-9.]+ms at most\n$`).MatchString(errs) {
		t.Errorf("ping sums up as %q", errs)
	}
	s := atTerminal(t, l.command("ping", "ws", "--wait", "1ms"))
	for range 11 {
		s.expect(`pong from ws`)
	}
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	s.expect(`answered: `)
	if got := s.wait(); got != 0 {
		t.Errorf("ping that is interrupted ends with %d, want 0", got)
	}
}
