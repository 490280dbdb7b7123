package tailnet

import (
	"strings"
	"testing"
)

// TestSameMapKeepsRelay: a server sends its map with each new control
// connection. What was found out about the relay, and the connection to it,
// outlive that.
func TestSameMapKeepsRelay(t *testing.T) {
	f := &front{}
	m := startFront(t, f, false)
	m.Regions[999].Nodes[0].CertName = pinPrefix + strings.Repeat("0", 64)
	p := startPair(t, nil, func(cfg *Config) { cfg.DERPMap, cfg.BlockDirect = m, true })
	serve(t, p.b, 7, bulkServer)
	awaitPath(t, p.a, p.addrB, false)
	awaitEcho(t, p.a) // the relay has answered: its silence would be a reason to redial
	awaitEcho(t, p.b)
	before := f.webSockets.Load()
	for range 3 {
		for _, n := range []*Node{p.a, p.b} {
			if err := n.SetDERPMap(m.Clone()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := bulk(p.dial(t, 7), 'u', 8<<20, nil); err != nil {
			t.Fatalf("bulk after the same map came again = %v, want nil", err)
		}
	}
	if got := f.webSockets.Load(); got != before {
		t.Errorf("connections to the relay = %d after the same map came again, want %d as before", got, before)
	}
}
