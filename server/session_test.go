package server

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// watch runs a session that answers pings with ping, and waits for what it
// asked.
func watch(ctx context.Context, s session, ping func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	return s.watch(ctx, &running, ping)
}

func TestSessionIsLostWithoutAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := watch(t.Context(), session{}, func() error { return errors.New("silence") })
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
		err := watch(ctx, session{}, func() error {
			pings++
			return nil
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
		hang := make(chan struct{})
		time.AfterFunc(time.Hour, func() { close(hang) })
		err := watch(t.Context(), session{}, func() error {
			pings++
			<-hang
			return nil
		})
		if !errors.Is(err, errLost) || pings != 1 {
			t.Errorf("watch = %v with %d pings, want lost with 1", err, pings)
		}
	})
}

func TestSessionIsChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changed := make(chan struct{}, 1)
		changed <- struct{}{}
		results := []error{nil, errors.New("database away"), errSuperseded}
		calls := []time.Duration{}
		began := time.Now()
		s := session{changed: changed, check: func(context.Context) error {
			calls = append(calls, time.Since(began))
			return results[len(calls)-1]
		}}
		time.AfterFunc(time.Second, func() { changed <- struct{}{} })
		err := watch(t.Context(), s, func() error { return nil })
		want := []time.Duration{0, time.Second, pingEvery}
		if !errors.Is(err, errSuperseded) || !slices.Equal(calls, want) {
			t.Errorf("watch = %v, checks at %v, want them at %v: at each change, and again after trouble", err, calls, want)
		}
	})
}

// A change during a check is not lost.
func TestChangeDuringACheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changed := make(chan struct{}, 1)
		changed <- struct{}{}
		calls := 0
		s := session{changed: changed, check: func(context.Context) error {
			if calls++; calls == 1 {
				<-time.After(2 * time.Second) // of the bubble's clock
				return nil
			}
			return errSuperseded
		}}
		time.AfterFunc(time.Second, func() { changed <- struct{}{} })
		if err := watch(t.Context(), s, func() error { return nil }); !errors.Is(err, errSuperseded) || calls != 2 {
			t.Errorf("watch = %v after %d checks, want it superseded by the second", err, calls)
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
