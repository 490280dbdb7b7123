//go:build linux

package agent

import (
	"testing"
	"time"

	"github.com/berthdev/berth/agent/host"
)

func TestUse(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	var u use
	for _, step := range []struct {
		what          string
		after         time.Duration
		input, editor uint64
		want          float64
	}{
		{"the first report", 0, 100, 1 << 20, 0},
		{"nothing", time.Minute, 100, 1 << 20, 0},
		{"a key", time.Minute, 101, 1 << 20, 1},
		{"an editor that is only open", time.Minute, 101, 1<<20 + 600, 0},
		{"an editor that is used", time.Minute, 101, 1<<20 + 600 + editorRate, 1},
		{"the same in ten minutes", 10 * time.Minute, 101, 1<<20 + 600 + 2*editorRate, 0},
		{"another session host", time.Minute, 3, 10, 0},
		{"and a key there", time.Minute, 4, 10, 1},
	} {
		now = now.Add(step.after)
		if got := u.metric(host.State{Input: step.input, EditorBytes: step.editor}, now).GetValue(); got != step.want {
			t.Errorf("metric after %s = %v, want %v", step.what, got, step.want)
		}
	}
}
