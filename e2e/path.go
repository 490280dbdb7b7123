//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Path is the class of a way between a user and a workspace.
type Path string

// The classes.
const (
	Direct Path = "direct"
	Relay  Path = "relay"
)

// Path is how the packets of an open shell travel now, as `coder ssh` says it;
// "" when it has not said it yet, or not to us (Watch).
func (s *Shell) Path() Path {
	files, err := filepath.Glob(filepath.Join(s.info, "*.json"))
	if err != nil || len(files) == 0 || s.info == "" {
		return ""
	}
	raw, err := os.ReadFile(files[0])
	var known struct{ P2P bool }
	switch {
	case err != nil || json.Unmarshal(raw, &known) != nil:
		return ""
	case known.P2P:
		return Direct
	}
	return Relay
}

// MustBecome waits until the shell's path is as wanted, and fails the test when
// it is not within limit. It returns how long it took.
func (s *Shell) MustBecome(want Path, limit time.Duration) time.Duration {
	s.t.Helper()
	look := time.NewTicker(beat)
	defer look.Stop()
	began := time.Now()
	for s.Path() != want {
		if time.Since(began) > limit {
			s.t.Fatalf("path of the open shell %v after it was looked at first = %q, want %q", limit, s.Path(), want)
		}
		<-look.C
	}
	return time.Since(began)
}

// Ping is what `coder ping` says of each of count pings, a fifth of a second
// apart. A ping without an answer fails the test.
func (u *User) Ping(ctx context.Context, workspace string, count int) []Path {
	u.world.t.Helper()
	r := u.Run(ctx, "ping", "-n", fmt.Sprint(count), "--wait", "200ms", workspace)
	var paths []Path
	for line := range strings.Lines(r.Stdout) {
		switch {
		case strings.Contains(line, " direct via "):
			paths = append(paths, Direct)
		case strings.Contains(line, " relay via "):
			paths = append(paths, Relay)
		}
	}
	if r.Code != 0 || len(paths) != count {
		u.world.t.Fatalf("coder ping -n %d: exit status %d, %d answers\n%s%s", count, r.Code, len(paths), r.Stdout, r.Stderr)
	}
	return paths
}
