package tailnet

import (
	"testing"
	"time"
)

func TestLiveness(t *testing.T) {
	type step struct {
		after time.Duration // since the last step
		heard bool
		used  bool
		want  relayAction
	}
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"idle and answering", []step{
			{0, true, false, relayFine},
			{idleProbe - time.Second, false, false, relayFine},
			{time.Second, false, false, relayAsk},
			{50 * time.Millisecond, true, false, relayFine},
			{time.Second, false, false, relayFine},
		}},
		{"busy and answering", []step{
			{0, true, true, relayFine},
			{time.Second, true, true, relayFine},
			{time.Second, true, true, relayFine},
			{time.Second, false, true, relayFine},
			{time.Second, true, true, relayFine},
		}},
		{"dies", []step{
			{0, true, true, relayFine},
			{quietProbe, false, true, relayAsk},
			{probeTimeout - time.Millisecond, false, true, relayFine},
			{time.Millisecond, false, true, relayRedial},
			{probeTimeout, false, true, relayFine},
			{probeTimeout, false, true, relayExamine},
			{time.Second, true, true, relayFine},
		}},
		{"never answers", []step{
			{idleProbe, false, false, relayAsk},
			{firstTimeout, false, false, relayExamine},
			{firstTimeout, false, false, relayFine},
			{firstTimeout, false, false, relayExamine},
			{2 * firstTimeout, false, false, relayFine},
			{2 * firstTimeout, false, false, relayExamine},
			{maxTimeout, false, false, relayExamine},
		}},
	} {
		now := time.Unix(1e9, 0)
		l := liveness{lastHeard: now}
		for i, s := range tt.steps {
			now = now.Add(s.after)
			if s.heard {
				l.heard(now)
			}
			if got := l.tick(now, s.used); got != s.want {
				t.Errorf("%s: step %d: tick = %v, want %v", tt.name, i, got, s.want)
			}
		}
	}
}

func TestDeafness(t *testing.T) {
	now := time.Unix(1e9, 0)
	var d deafness
	for i, s := range []struct {
		after time.Duration
		heard bool
		want  bool
	}{
		{0, false, false},
		{deafAfter - 1, false, false},
		{1, false, true},
		{time.Second, false, true},
		{0, true, false},
		{deafAfter, false, true},
		{deafUntil, false, false},
		{0, true, false},
	} {
		now = now.Add(s.after)
		if s.heard {
			d.heard(true)
		}
		if got := d.isDeaf(now); got != s.want {
			t.Errorf("step %d: isDeaf = %v, want %v", i, got, s.want)
		}
	}
}

// TestDeafnessOfMovedPeer: what comes from another address shows nothing, unless
// that has been so all the time.
func TestDeafnessOfMovedPeer(t *testing.T) {
	begun := time.Unix(1e9, 0)
	for _, tt := range []struct {
		name   string
		before func(*deafness)
		want   bool
	}{
		{"peer moved", func(d *deafness) { d.heard(true) }, true},
		{"always from another address", func(d *deafness) { d.heard(false) }, false},
		{"we send elsewhere now", func(d *deafness) { d.heard(true); d.moved() }, false},
	} {
		var d deafness
		tt.before(&d)
		d.isDeaf(begun)
		d.heard(false)
		d.isDeaf(begun.Add(1))
		if got := d.isDeaf(begun.Add(deafAfter)); got != tt.want {
			t.Errorf("%s: isDeaf a second after packets came from another address = %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestClockJump(t *testing.T) {
	wall, mono := time.Unix(1e9, 0), time.Hour
	c := clock{wall: wall, mono: mono}
	for _, s := range []struct {
		wall, mono time.Duration // since the last step
		want       bool
	}{
		{time.Second, time.Second, false},
		{time.Minute, time.Minute, false}, // a busy machine
		{time.Hour, time.Second, true},    // it slept
		{time.Second, time.Second, false},
		{-time.Hour, time.Second, true}, // the clock was set
		{4 * time.Second, 0, false},     // ntp
	} {
		wall, mono = wall.Add(s.wall), mono+s.mono
		if got := c.jumped(wall, mono); got != s.want {
			t.Errorf("jumped after %v of wall and %v of monotonic time = %v, want %v", s.wall, s.mono, got, s.want)
		}
	}
}
