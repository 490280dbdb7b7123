//go:build linux

package agent

import (
	"context"
	"net/http"
	"time"

	"github.com/berthdev/berth/tailnet"
)

// netcheckTimeout bounds one measurement.
const netcheckTimeout = 10 * time.Second

// netchecks makes one report at a time, which all get that asked before it was done.
type netchecks struct {
	room chan struct{} // 1: a report is made; who has it may touch those below
	last *tailnet.Report
	done time.Time
}

func newNetchecks() *netchecks { return &netchecks{room: make(chan struct{}, 1)} }

// report returns one that was done after the call, by measure if by nobody else. It
// waits for measure, and for one that others called before.
func (c *netchecks) report(ctx context.Context, measure func(context.Context) tailnet.Report) (*tailnet.Report, error) {
	asked := time.Now()
	select {
	case c.room <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-c.room }()
	if c.last != nil && c.done.After(asked) {
		return c.last, nil
	}
	r := measure(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err() // it is not whole: the next one makes another
	}
	c.last, c.done = &r, time.Now()
	return c.last, nil
}

func (n *network) getNetcheck(w http.ResponseWriter, r *http.Request) {
	extend(w, 2*netcheckTimeout+apiTimeout) // one of somebody else, and our own
	report, err := n.netchecks.report(r.Context(), n.checkNetwork)
	if err != nil {
		n.refuse(w, err)
		return
	}
	answer(w, report)
}

func (n *network) checkNetwork(ctx context.Context) tailnet.Report {
	ctx, cancel := context.WithTimeout(ctx, netcheckTimeout)
	defer cancel()
	return n.node.Report(ctx)
}
