//go:build linux

package agent

import (
	"context"
	"fmt"
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
	// maxRefusals bounds those that are being told so.
	maxRefusals = 8
)

// serveSpeedtests makes the tests that peers ask for until ctx ends. Those that
// are too many are refused.
func (n *network) serveSpeedtests(ctx context.Context, ln net.Listener) {
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	room, refusals := make(chan struct{}, maxSpeedtests), make(chan struct{}, maxRefusals)
	var tests sync.WaitGroup
	defer tests.Wait()
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		place, serve := room, speedtest.Serve
		select {
		case room <- struct{}{}:
		default:
			select {
			case refusals <- struct{}{}:
				place, serve = refusals, refuseSpeedtest
			default:
				_ = conn.Close()
				continue
			}
		}
		tests.Go(func() {
			defer func() { <-place }()
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			if err := serve(conn); err != nil {
				n.cfg.Log.Debug("speed test ended", "err", err) // whose address is gone by now
			}
		})
	}
}

func refuseSpeedtest(conn net.Conn) error {
	return speedtest.Refuse(conn, fmt.Sprintf("%d speed tests are being made already: try again when they are over", maxSpeedtests))
}
