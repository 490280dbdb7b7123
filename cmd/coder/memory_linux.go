package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"syscall"
	"time"
)

const (
	// agentGCPercent trades some of the collector's time for memory, of which a
	// workspace has little to spare: during a bulk transfer 39 of 46 MB of live
	// heap are WireGuard's packets, and Go's default of 100 would double that.
	agentGCPercent = 50

	// quietFor is how long nothing may have made the collector run before the
	// memory of what went on is given back.
	quietFor = 2 * time.Second
)

// frugal makes this process give its memory back to the workspace: it collects
// early, and when work has ended it collects once more and forgets its code. Otherwise what a bulk transfer left
// in pools would stay until the collector runs by itself, minutes later. It
// works until ctx ends.
func frugal(ctx context.Context) (wait func()) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(agentGCPercent)
	}
	collected := make(chan struct{}, 1)
	notifyCollection(ctx, collected)
	done := make(chan struct{})
	go func() {
		defer close(done)
		giveBackWhenQuiet(ctx, collected)
	}()
	return func() { <-done }
}

func giveBackWhenQuiet(ctx context.Context, collected <-chan struct{}) {
	quiet := time.NewTimer(quietFor) // the first time: what the start left
	defer quiet.Stop()
	var seen uint64
	for {
		select {
		case <-collected:
			if now := automaticCollections(); now != seen {
				seen = now
				quiet.Reset(quietFor)
			}
		case <-quiet.C:
			runtime.GC() // pools drop what they hold at the second collection
			debug.FreeOSMemory()
			dropCode()
		case <-ctx.Done():
			return
		}
	}
}

// dropCode forgets which pages of the program were used, most of them once, at
// the start or for what has ended. Those that are needed again are mapped again
// from the kernel's cache of the file.
func dropCode() {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return // no proc: nothing would be gained that anybody can see
	}
	for line := range strings.Lines(string(maps)) {
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "r-xp" && f[1] != "r--p" || !strings.HasPrefix(f[5], "/") {
			continue
		}
		var from, to uintptr
		if _, err := fmt.Sscanf(f[0], "%x-%x", &from, &to); err == nil {
			_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, from, to-from, syscall.MADV_DONTNEED)
		}
	}
}

// notifyCollection signals after each collection, by an object that dies in it.
func notifyCollection(ctx context.Context, collected chan<- struct{}) {
	if ctx.Err() != nil {
		return
	}
	runtime.AddCleanup(new([16]byte), func(collected chan<- struct{}) {
		select {
		case collected <- struct{}{}:
		default:
		}
		notifyCollection(ctx, collected)
	}, collected)
}

// automaticCollections counts those that giveBackWhenQuiet did not ask for.
func automaticCollections() uint64 {
	sample := []metrics.Sample{{Name: "/gc/cycles/automatic:gc-cycles"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
