//go:build linux

package agent

import (
	"context"
	"net"
	"sync"

	"github.com/berthdev/berth/connect/speedtest"
)

const (
	// speedtestPort is where peers on the tailnet measure the path.
	speedtestPort = 3
	// maxSpeedtests bounds those that are made at once: a third would only tell
	// how the first two share the path.
	maxSpeedtests = 2
)

// serveSpeedtests makes the tests that peers ask for until ctx ends. Those that
// are too many are closed, which their clients report.
func (n *network) serveSpeedtests(ctx context.Context, ln net.Listener) {
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	room := make(chan struct{}, maxSpeedtests)
	var tests sync.WaitGroup
	defer tests.Wait()
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		select {
		case room <- struct{}{}:
		default:
			_ = conn.Close()
			continue
		}
		tests.Go(func() {
			defer func() { <-room }()
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			if err := speedtest.Serve(conn); err != nil {
				n.cfg.Log.Debug("speed test ended", "err", err) // whose address is gone by now
			}
		})
	}
}
