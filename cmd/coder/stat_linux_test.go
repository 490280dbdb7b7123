package main

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berthdev/berth/agent/stats"
)

func TestAmounts(t *testing.T) {
	for _, tc := range []struct {
		amount amount
		prefix string
		want   string
	}{
		{amount{1.24, 4, "cores"}, "", "1.2/4 cores (31%)"},
		{amount{0, 0.5, "cores"}, "", "0/0.5 cores (0%)"},
		{amount{0.96, 1, "cores"}, "", "1/1 cores (96%)"},
		{amount{1.5 * (1 << 30), 16 << 30, "B"}, "Gi", "1.5/16 GiB (9%)"},
		{amount{1 << 30, 1 << 30, "B"}, "Mi", "1024/1024 MiB (100%)"},
		{amount{1 << 30, 1 << 40, "B"}, "Ti", "0/1 TiB (0%)"},
		{amount{0, 0, "B"}, "Ki", "0/0 KiB (0%)"},
	} {
		if got := tc.amount.text(tc.prefix); got != tc.want {
			t.Errorf("%+v with the prefix %q = %q, want %q", tc.amount, tc.prefix, got, tc.want)
		}
	}
}

// TestLoads has a group with half a core that was watched from the beginning of
// one period of its limit into that of another.
func TestLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		working := func(share, cores float64) func() (stats.CPU, error) {
			return func() (stats.CPU, error) {
				return stats.CPU{At: time.Now(), Busy: time.Duration(share * float64(time.Since(began))), Cores: cores}, nil
			}
		}
		got, err := loads(t.Context(), working(1.5, 2), working(0.6, 0.5))
		want := []amount{{1.5, 2, "cores"}, {0.5, 0.5, "cores"}}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("loads = %v, %v, want %v", got, err, want)
		}
	})
}
