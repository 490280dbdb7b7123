//go:build linux

package stats

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(inGroup) != "" {
		measureInGroup()
		return
	}
	goleak.VerifyTestMain(m)
}
