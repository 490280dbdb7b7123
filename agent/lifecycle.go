package agent

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/berthdev/berth/agent/proto"
)

// lifecycle holds the states the agent went through and has not reported yet.
// States only move forward, so there are never more than the enum has.
type lifecycle struct {
	mu      sync.Mutex
	last    proto.Lifecycle_State
	pending []*proto.Lifecycle
	changed chan struct{} // closed and replaced when pending changes
}

func newLifecycle() *lifecycle {
	return &lifecycle{last: proto.Lifecycle_CREATED, changed: make(chan struct{})}
}

// set moves to a later state, which began at that time; an earlier or equal one
// is ignored.
func (l *lifecycle) set(state proto.Lifecycle_State, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if state <= l.last {
		return
	}
	l.last = state
	l.pending = append(l.pending, &proto.Lifecycle{State: state, ChangedAt: timestamppb.New(at)})
	l.noteLocked()
}

func (l *lifecycle) noteLocked() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// next returns the oldest state that was not reported, or nil and a channel
// that is closed when that may have changed.
func (l *lifecycle) next() (*proto.Lifecycle, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) == 0 {
		return nil, l.changed
	}
	return l.pending[0], nil
}

func (l *lifecycle) reported() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = l.pending[1:]
	l.noteLocked()
}

// report sends each state once, in order, until ctx ends or a call fails; a
// state whose call failed is sent again by the next report.
func (l *lifecycle) report(ctx context.Context, rpc proto.DRPCAgentClient) error {
	for {
		state, changed := l.next()
		if state == nil {
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if _, err := rpc.UpdateLifecycle(ctx, &proto.UpdateLifecycleRequest{Lifecycle: state}); err != nil {
			return fmt.Errorf("report lifecycle %s: %w", state.State, err)
		}
		l.reported()
	}
}

// over blocks until the last state of a workspace was reported or ctx ends.
func (l *lifecycle) over(ctx context.Context) error {
	for {
		l.mu.Lock()
		over, changed := len(l.pending) == 0 && l.last >= proto.Lifecycle_SHUTDOWN_TIMEOUT, l.changed
		l.mu.Unlock()
		if over {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
