package agent

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berthdev/berth/agent/proto"
)

// reports is a server that takes lifecycle reports until it fails.
type reports struct {
	proto.DRPCAgentClient
	got   []proto.Lifecycle_State
	after int // fails once it has so many
}

var errAway = errors.New("the server is away")

func (r *reports) UpdateLifecycle(_ context.Context, req *proto.UpdateLifecycleRequest) (*proto.Lifecycle, error) {
	if len(r.got) == r.after {
		return nil, errAway
	}
	r.got = append(r.got, req.GetLifecycle().GetState())
	return req.GetLifecycle(), nil
}

func TestLifecycleIsReportedInOrderAcrossOutages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLifecycle()
		for _, s := range []proto.Lifecycle_State{proto.Lifecycle_STARTING, proto.Lifecycle_READY, proto.Lifecycle_STARTING, proto.Lifecycle_READY, proto.Lifecycle_OFF} {
			l.set(s, time.Now())
		}
		first := &reports{after: 1}
		if err := l.report(t.Context(), first); !errors.Is(err, errAway) {
			t.Fatalf("report to a server that goes away = %v, want %v", err, errAway)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := l.over(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("over while states wait = %v, want to wait for them", err)
		}
		ctx, stop := context.WithCancel(t.Context())
		second, done := &reports{after: 10}, make(chan error, 1)
		go func() { done <- l.report(ctx, second) }()
		if err := l.over(t.Context()); err != nil {
			t.Errorf("over = %v", err)
		}
		stop()
		<-done
		want := []proto.Lifecycle_State{proto.Lifecycle_STARTING, proto.Lifecycle_READY, proto.Lifecycle_OFF}
		if got := slices.Concat(first.got, second.got); !slices.Equal(got, want) {
			t.Errorf("reported %v, want %v: each once, in order", got, want)
		}
	})
}
