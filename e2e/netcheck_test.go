//go:build linux

package e2e

import (
	"encoding/json"
	"testing"

	"github.com/berthdev/berth/tailnet/netlab"
)

// TestNetcheck measures behind a NAT, as editors ask for it, and without UDP.
func TestNetcheck(t *testing.T) {
	w := newWorld(t)
	home := w.Router("home", netlab.EasyNAT)
	client := home.Host("client")
	user := w.Serve(w.Host("server")).User(client)
	type report struct {
		DERP struct {
			Severity string
			Regions  map[string]struct {
				Nodes []struct {
					CanExchange bool `json:"can_exchange_messages"`
				} `json:"node_reports"`
			}
			Netcheck struct{ UDP bool }
		}
		Interfaces struct{ Interfaces []struct{ Name string } }
	}
	for _, udp := range []bool{true, false} {
		if !udp {
			client.Block(netlab.Filter{Proto: "udp"})
		}
		out := user.MustRun("netcheck")
		var got report
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatalf("coder netcheck: %v of %s", err, out)
		}
		if got.DERP.Severity != "ok" || got.DERP.Netcheck.UDP != udp || len(got.Interfaces.Interfaces) < 2 {
			t.Errorf("with UDP = %v coder netcheck = %s", udp, out)
		}
		for id, region := range got.DERP.Regions {
			if len(region.Nodes) == 0 || !region.Nodes[0].CanExchange {
				t.Errorf("with UDP = %v region %s carries nothing: %s", udp, id, out)
			}
		}
	}
}
