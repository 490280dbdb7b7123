package server

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// answered is a ping that is answered with err at once.
func answeredWith(err error) func(chan<- error) {
	return func(done chan<- error) { done <- err }
}

func TestSessionIsLostWithoutAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := session{}.watch(t.Context(), answeredWith(errors.New("silence")))
		if took := time.Since(began); !errors.Is(err, errLost) || took <= lostAfter || took > lostAfter+pingEvery {
			t.Errorf("watch = %v after %v, want lost soon after %v", err, took, lostAfter)
		}
	})
}

func TestSessionLastsWithAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		pings := 0
		err := session{}.watch(ctx, func(done chan<- error) {
			pings++
			done <- nil
		})
		if !errors.Is(err, context.DeadlineExceeded) || pings < 5000 {
			t.Errorf("watch = %v after %d pings, want it to last a day", err, pings)
		}
	})
}

// One ping at a time is under way, however slow.
func TestPingThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pings := 0
		err := session{}.watch(t.Context(), func(chan<- error) { pings++ })
		if !errors.Is(err, errLost) || pings != 1 {
			t.Errorf("watch = %v with %d pings, want lost with 1", err, pings)
		}
	})
}

func TestSessionIsChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changed := make(chan struct{}, 1)
		results := []error{nil, errors.New("database away"), errSuperseded}
		calls := []time.Duration{}
		began := time.Now()
		s := session{changed: changed, check: func(context.Context) error {
			calls = append(calls, time.Since(began))
			return results[len(calls)-1]
		}}
		time.AfterFunc(time.Second, func() { changed <- struct{}{} })
		err := s.watch(t.Context(), answeredWith(nil))
		want := []time.Duration{0, time.Second, pingEvery}
		if !errors.Is(err, errSuperseded) || len(calls) != 3 || calls[0] != want[0] || calls[1] != want[1] || calls[2] != want[2] {
			t.Errorf("watch = %v, checks at %v, want them at %v: at once, at a change, and again after trouble", err, calls, want)
		}
	})
}

func TestFollowPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		out := &pingCounter{}
		told := 0
		never := make(chan struct{})
		err := follow(ctx, out, func() (<-chan struct{}, error) {
			told++
			return never, nil
		})
		if err != nil || told != 1 || out.pings < 238 {
			t.Errorf("follow = %v, told %d times, %d pings in an hour; want nil, once, 239", err, told, out.pings)
		}
	})
}

type pingCounter struct{ pings int }

func (p *pingCounter) send(context.Context, any) error { return nil }
func (p *pingCounter) ping(context.Context) error      { p.pings++; return nil }
