//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/berthdev/berth/tailnet/netlab"
)

// Build builds the coder command, as users get it, into dir and returns its
// path.
func Build(dir string) (string, error) {
	_, self, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("build coder: the place of the source is not known")
	}
	binary := filepath.Join(dir, "coder")
	cmd := exec.Command("go", "build", "-trimpath", "-o", binary, "./cmd/coder")
	cmd.Dir = filepath.Dir(filepath.Dir(self))
	// Without the race detector, which the tests may run under: it costs most
	// of the rate, and each package has tests of its own under it.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build coder: %w\n%s", err, out)
	}
	return binary, nil
}

// World is a simulated network and a directory for the files of the processes
// in it. Both go with the test.
type World struct {
	*netlab.Kernel

	t      netlab.TB
	binary string
	dir    string
}

// New makes a world in which nothing runs yet. It needs what netlab.NewKernel
// needs. binary is the coder command.
func New(t netlab.TB, binary string, network netlab.KernelConfig) *World {
	t.Helper()
	dir, err := os.MkdirTemp("", "berth-e2e-")
	if err != nil {
		t.Fatalf("make a directory: %v", err)
	}
	t.Cleanup(func() { // after the lab has killed its processes
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the files of the test: %v", err)
		}
	})
	return &World{Kernel: netlab.NewKernel(t, network), t: t, binary: binary, dir: dir}
}

// Dir makes a directory below that of the world.
func (w *World) Dir(name string) string {
	w.t.Helper()
	dir := filepath.Join(w.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		w.t.Fatalf("make a directory: %v", err)
	}
	return dir
}

// Coder is the coder command on a host with the given environment and nothing
// of ours but the path. ctx kills it.
func (w *World) Coder(ctx context.Context, h *netlab.Host, env []string, args ...string) *exec.Cmd {
	cmd := h.Command(ctx, w.binary, args...)
	cmd.Env = w.environ(h, env...)
	cmd.Dir = w.Dir(h.Name())
	return cmd
}

func (w *World) environ(h *netlab.Host, more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin", "HOME=" + w.Dir(h.Name()), "LANG=C.UTF-8"}, more...)
}
