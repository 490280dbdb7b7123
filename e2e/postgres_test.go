//go:build linux

package e2e

import (
	"testing"
	"time"

	"github.com/berthdev/berth/server/store/storetest"
	"github.com/berthdev/berth/tailnet/netlab"
)

// TestPostgreSQL is the way from nothing to an open shell that outlives the
// server, with the other database.
func TestPostgreSQL(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT, "--postgres-url", storetest.PostgresURL(t))
	shell := p.user.Shell("ws")
	shell.MustBecome(Direct, directSoon)
	p.server.Kill9()
	shell.MustGoOn(2*time.Second, whileDirect)
	p.server.Restart()
	newSessionWorks(t, p)
	shell.MustAwait(whileDirect)
	p.user.MustRun("delete", "ws", "--yes")
	if r := p.user.Run(within(t, time.Minute), "ssh", "ws", "--", "true"); r.Code != 1 {
		t.Errorf("coder ssh of a deleted workspace = %+v, want exit status 1", r)
	}
}
