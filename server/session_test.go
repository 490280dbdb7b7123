package server

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berthdev/berth/tailnet/wire"
)

// beating is a session of a peer that answers pings, or not, with a pulse. cause
// waits for its end.
func beating(t *testing.T, s *session, answers bool) (pings *atomic.Int32, cause func() error) {
	near, far := net.Pipe()
	s.server = wire.NewServer(far)
	ctx, end := context.WithCancelCause(t.Context())
	s.end = end
	var beats pulse
	var running sync.WaitGroup
	running.Go(func() { beats.run(ctx) })
	running.Go(func() { _ = s.server.Serve(ctx, nil) })
	pings = new(atomic.Int32)
	running.Go(func() {
		var frame [12]byte // of yamux: byte 3 is 1 in a question, 2 in an answer
		for {
			if _, err := io.ReadFull(near, frame[:]); err != nil {
				return
			}
			pings.Add(1)
			if frame[3] = 2; answers {
				_, _ = near.Write(frame[:])
			}
		}
	})
	leave := beats.join(s)
	t.Cleanup(func() {
		end(nil)
		leave()
		s.finish()
		near.Close()
		running.Wait()
	})
	return pings, func() error {
		<-ctx.Done()
		return context.Cause(ctx)
	}
}

func TestSessionIsLostWithoutAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, cause := beating(t, &session{}, false)
		if err, took := cause(), time.Since(began); !errors.Is(err, errLost) || took <= lostAfter || took > lostAfter+pingEvery {
			t.Errorf("the session ended with %v after %v, want lost soon after %v", err, took, lostAfter)
		}
	})
}

func TestSessionLastsWithAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &session{}
		pings, cause := beating(t, s, true)
		time.AfterFunc(24*time.Hour, func() { s.end(nil) })
		if err := cause(); !errors.Is(err, context.Canceled) || pings.Load() < 5700 {
			t.Errorf("the session ended with %v after %d pings, want it to last a day", err, pings.Load())
		}
	})
}

// One ping at a time is under way, however slow.
func TestPingThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe() // which nobody reads
		defer near.Close()
		ctx, end := context.WithCancelCause(t.Context())
		s := &session{server: wire.NewServer(far), end: end}
		for ctx.Err() == nil {
			s.beat()
			synctest.Wait()
			if s.mu.Lock(); !s.pinging {
				t.Error("no ping is under way")
			}
			s.mu.Unlock()
			<-time.After(pingEvery) // of the bubble's clock
		}
		if err := context.Cause(ctx); !errors.Is(err, errLost) {
			t.Errorf("the session ended with %v, want lost", err)
		}
		far.Close()
		s.finish()
	})
}

func TestSessionIsChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		results := []error{nil, errors.New("database away"), errSuperseded}
		calls := []time.Duration{}
		began := time.Now()
		s := &session{check: func() error {
			calls = append(calls, time.Since(began))
			return results[len(calls)-1]
		}}
		_, cause := beating(t, s, true)
		s.changed()
		time.AfterFunc(time.Second, s.changed)
		err := cause()
		want := []time.Duration{0, time.Second, pingEvery}
		if !errors.Is(err, errSuperseded) || !slices.Equal(calls, want) {
			t.Errorf("the session ended with %v, checks at %v, want them at %v: at each change, and again after trouble", err, calls, want)
		}
	})
}

// A change during a check is not lost.
func TestChangeDuringACheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		s := &session{check: func() error {
			if calls++; calls == 1 {
				<-time.After(2 * time.Second) // of the bubble's clock
				return nil
			}
			return errSuperseded
		}}
		_, cause := beating(t, s, true)
		s.changed()
		time.AfterFunc(time.Second, s.changed)
		if err := cause(); !errors.Is(err, errSuperseded) || calls != 2 {
			t.Errorf("the session ended with %v after %d checks, want it superseded by the second", err, calls)
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
