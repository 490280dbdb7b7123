//go:build linux

package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/berthdev/berth/tailnet/netlab"
)

// TestSpeedtest measures both ways, through the relay and directly, in the form
// that editors read.
func TestSpeedtest(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	for name, args := range map[string][]string{
		"down, direct": {"--direct"}, "up, direct": {"--direct", "--direction", "up"},
		"down, relayed": {"--disable-direct-connections"}, "up, relayed": {"--disable-direct-connections", "--direction", "up"},
	} {
		var got struct {
			Overall struct {
				End        float64 `json:"end_time_seconds"`
				Throughput float64 `json:"throughput_mbits"`
			}
			Intervals []struct {
				Start *float64 `json:"start_time_seconds"`
			}
		}
		out := p.user.MustRun(append([]string{"speedtest", "ws", "-t", "1500ms", "-o", "json"}, args...)...)
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatalf("%s: %v of %s", name, err, out)
		}
		if got.Overall.End < 1.5 || got.Overall.Throughput <= 0 || len(got.Intervals) < 2 || got.Intervals[0].Start == nil {
			t.Errorf("%s: %s, want two intervals and a throughput", name, out)
		}
	}
	p.client.Block(netlab.Filter{Proto: "udp"})
	r := p.user.Run(within(t, patience), "speedtest", "ws", "--direct")
	if want := "error: no direct path within 15s\nhint: leave out --direct to measure the relay\n"; r.Code != 1 || !strings.HasSuffix(r.Stderr, want) {
		t.Errorf("--direct where there is no direct path: exit status %d, %q, want %q", r.Code, r.Stderr, want)
	}
	r = p.user.Run(within(t, patience), "speedtest", "ws", "-t", "1s")
	if r.Code != 0 || !strings.HasPrefix(r.Stdout, "INTERVAL") || !strings.HasPrefix(r.Stderr, "Measured through the relay ") {
		t.Errorf("table = %q, %q, exit status %d", r.Stdout, r.Stderr, r.Code)
	}
}
