//go:build linux

package e2e

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berthdev/berth/server/store/storetest"
	"github.com/berthdev/berth/tailnet/netlab"
)

// coder is the binary under test.
var coder string

func TestMain(m *testing.M) { storetest.Main(withBinary{m}) }

// withBinary builds the binary before the tests and removes it after them.
type withBinary struct{ *testing.M }

func (m withBinary) Run() (code int) {
	dir, err := os.MkdirTemp("", "berth-e2e-bin-")
	if err == nil {
		defer os.RemoveAll(dir)
		coder, err = Build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// Most of these tests wait for the network most of the time.
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.M.Run()
}

// dependOnSource reads the folders of the source, so that go test sees what the
// binary is made of and does not take an old result for a new one.
func dependOnSource() error {
	return filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != ".." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "build") {
			return filepath.SkipDir
		}
		return err
	})
}

// newWorld makes a world with perfect links, beside those of other tests.
func newWorld(t *testing.T) *World {
	t.Helper()
	t.Parallel()
	return newWorldAlone(t)
}

// newWorldAlone makes a world that no other is beside.
func newWorldAlone(t *testing.T) *World {
	t.Helper()
	if err := dependOnSource(); err != nil {
		t.Fatal(err)
	}
	return New(t, coder, netlab.KernelConfig{})
}

// within is a context of the test that ends after d.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
