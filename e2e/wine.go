//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/berthdev/berth/tailnet/netlab"
)

// wine runs programs of Windows, and wineServer is what they share. Debian's wine64
// puts neither on PATH.
const (
	wine       = "/usr/lib/wine/wine64"
	wineServer = "/usr/lib/wine/wineserver"
)

// wineStd is what Wine 8, which Debian 12 has, lacks of what Go's standard library
// asks of Windows 10: a random generator under its newer name, and a switch of UDP
// sockets. The program under test is built with what it has in place of them.
var wineStd = map[string][]string{
	"runtime/os_windows.go": {
		"'b', 'c', 'r', 'y', 'p', 't', 'p', 'r', 'i', 'm', 'i', 't', 'i', 'v', 'e', 's',", "'a', 'd', 'v', 'a', 'p', 'i', '3', '2',",
		`"ProcessPrng\000"`, `"SystemFunction036\000"`,
	},
	"internal/syscall/windows/zsyscall_windows.go": {`"bcryptprimitives.dll"`, `"advapi32.dll"`, `NewProc("ProcessPrng")`, `NewProc("SystemFunction036")`},
	"net/fd_windows.go":                            {"windows.SIO_UDP_NETRESET", "syscall.SIO_UDP_CONNRESET"},
}

// buildForWine runs a go build or go test -c for Windows, with wineStd, that makes a
// program below dir.
func buildForWine(dir, program string, args ...string) (string, error) {
	overlay, err := wineOverlay(dir)
	if err != nil {
		return "", err
	}
	_, self, _, ok := runtime.Caller(0)
	if !ok {
		return "", fmt.Errorf("build %s: the place of the source is not known", program)
	}
	binary := filepath.Join(dir, program)
	args = slices.Insert(args, len(args)-1, "-trimpath", "-tags", "slim", "-overlay", overlay, "-o", binary)
	cmd := exec.Command("go", args...)
	cmd.Dir = filepath.Dir(filepath.Dir(self))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=windows", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", program, err, out)
	}
	return binary, nil
}

// wineOverlay writes wineStd, below dir, as the go command's -overlay takes it.
func wineOverlay(dir string) (file string, err error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("find the standard library: %w", err)
	}
	replace := map[string]string{}
	for name, pairs := range wineStd {
		path := filepath.Join(strings.TrimSpace(string(root)), "src", filepath.FromSlash(name))
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(string(text), pairs[i]) {
				return "", fmt.Errorf("%s of the standard library has no %s", name, pairs[i])
			}
		}
		replace[path] = filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(replace[path], []byte(strings.NewReplacer(pairs...).Replace(string(text))), 0o600); err != nil {
			return "", err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, "overlay.json")
	return file, os.WriteFile(file, overlay, 0o600)
}

// OnWindows is a user at a host whose system is Windows, as far as Wine is that.
// They are not signed in. Their coder.exe is where blanks are in the path; the
// returned directory is their drive C:.
func (w *World) OnWindows(h *netlab.Host) (u *User, drive string) {
	w.t.Helper()
	prefix := w.Dir("wine")
	binary, err := buildForWine(w.Dir("exe"), "coder.exe", "build", "./cmd/coder")
	if err != nil {
		w.t.Fatalf("have coder.exe: %v", err)
	}
	there := *w
	there.binary = filepath.Join(w.dir, "wine-coder")
	script := "#!/bin/sh\nexec " + wine + ` 'C:\Program Files\Berth\coder.exe' "$@"` + "\n"
	if err := os.WriteFile(there.binary, []byte(script), 0o700); err != nil {
		w.t.Fatalf("have coder.exe: %v", err)
	}
	u = &User{Host: h, Env: []string{"WINEPREFIX=" + prefix, "WINEDEBUG=-all"}, world: &there}
	w.t.Cleanup(func() { // all of that Windows, which outlives its programs
		_ = u.OpenSSH(context.Background(), wineServer, "-k", "-w").Run()
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	// Its services hold the outputs of what starts it: these are none.
	for _, start := range [][]string{{wineServer, "--persistent"}, {wine, "wineboot", "--init"}} {
		if err := u.OpenSSH(ctx, start[0], start[1:]...).Run(); err != nil {
			w.t.Fatalf("start Wine: %q: %v", start, err)
		}
	}
	drive = filepath.Join(prefix, "drive_c")
	home := filepath.Join(drive, "Program Files", "Berth")
	if err := errors.Join(os.MkdirAll(home, 0o700), os.Rename(binary, filepath.Join(home, "coder.exe"))); err != nil {
		w.t.Fatalf("have coder.exe: %v", err)
	}
	return u, drive
}
