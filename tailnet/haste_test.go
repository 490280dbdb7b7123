package tailnet

import (
	"slices"
	"testing"
	"time"
)

func TestHaste(t *testing.T) {
	at := func(d time.Duration) time.Time { return time.Unix(1e9, 0).Add(d) }
	const ms = time.Millisecond
	for _, tt := range []struct {
		name  string
		what  func(h *haste)
		when  time.Duration
		heard bool
		want  bool
	}{
		{"just known", func(*haste) {}, 299 * ms, false, false},
		{"nothing came of it", func(*haste) {}, 300 * ms, false, true},
		{"something was heard", func(*haste) {}, time.Hour, true, false},
		{"a response is being taken in", func(h *haste) { h.response(at(250 * ms)) }, 349 * ms, false, false},
		{"nothing came of a response", func(h *haste) { h.response(at(250 * ms)) }, 350 * ms, false, true},
		{"a new session", func(h *haste) { h.session(at(300*ms), true) }, 1299 * ms, false, false},
		{"a session through which nothing comes", func(h *haste) { h.session(at(300*ms), true) }, 1300 * ms, false, true},
		{"told twice of a session", func(h *haste) { h.session(at(0), true); h.session(at(900*ms), true) }, 1000 * ms, false, true},
		{"a session that has ended", func(h *haste) { h.session(at(0), true); h.session(at(100*ms), false) }, 300 * ms, false, true},
	} {
		h := newHaste(at(0))
		tt.what(h)
		forgot := false
		if got := h.anew(at(tt.when), tt.heard, func() { forgot = true }); got != tt.want || forgot != got {
			t.Errorf("%s: anew after %v = %t, forgotten %t; want %t", tt.name, tt.when, got, forgot, tt.want)
		}
	}
}

// TestHasteSlows asks every millisecond, as many that wait for one peer do.
func TestHasteSlows(t *testing.T) {
	start := time.Unix(1e9, 0)
	h := newHaste(start)
	var got []time.Duration
	for d := time.Duration(0); d < 5*time.Second; d += time.Millisecond {
		if h.anew(start.Add(d), false, func() {}) {
			got = append(got, d)
		}
	}
	want := []time.Duration{300 * time.Millisecond, 600 * time.Millisecond, 1200 * time.Millisecond, 2400 * time.Millisecond, 4800 * time.Millisecond}
	if !slices.Equal(got, want) {
		t.Errorf("handshakes were begun anew after %v, want %v", got, want)
	}
}

// TestHasteAfterASession: a peer that was reached is not waited for longer the
// next time.
func TestHasteAfterASession(t *testing.T) {
	start := time.Unix(1e9, 0)
	h := newHaste(start)
	for d := time.Duration(0); d < time.Minute; d += 100 * time.Millisecond {
		h.anew(start.Add(d), false, func() {})
	}
	at := start.Add(time.Hour)
	h.session(at, true)
	h.session(at.Add(time.Minute), false)
	for _, d := range []time.Duration{time.Minute, time.Minute + handshakePatience} {
		if !h.anew(at.Add(d), false, func() {}) {
			t.Errorf("anew %v after a session began = false, want true", d)
		}
	}
}

// TestResponseWaitsForForgetting: what WireGuard gets after that is the response
// to a handshake that it does not know any more.
func TestResponseWaitsForForgetting(t *testing.T) {
	h := newHaste(time.Time{})
	h.anew(time.Now(), false, func() {
		if h.order.TryLock() {
			t.Error("a response would be taken while the handshake is being forgotten")
		}
		h.session(time.Now(), false) // as WireGuard says meanwhile
	})
	h.response(time.Now())
	if h.anew(time.Now(), false, func() {}) {
		t.Error("anew right after a response = true, want false")
	}
}
