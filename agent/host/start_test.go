//go:build linux

package host

import (
	"slices"
	"testing"
)

func TestUserProcessesDoNotTalkToTheServiceManager(t *testing.T) {
	got := inherited([]string{"LANG=C", "NOTIFY_SOCKET=/run/x", "WATCHDOG_USEC=1", "HOME=/root"})
	if want := []string{"LANG=C", "HOME=/root"}; !slices.Equal(got, want) {
		t.Errorf("inherited = %q, want %q", got, want)
	}
}
