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
	// headroom is how much the heap may grow between two collections. A small
	// heap would otherwise be collected all the time during a bulk transfer: by
	// Go's default every 3 MB, for a third of the session host's time.
	headroom = 12 << 20
	// leastGCPercent bounds it from below for a large heap: during a bulk
	// transfer 39 of 46 MB are WireGuard's packets, and Go's default of 100
	// would double that.
	leastGCPercent = 50
	// mostGCPercent bounds it from above.
	mostGCPercent = 800

	// quietFor is how long nothing may have made the collector run before the
	// memory of what went on is given back.
	quietFor = 2 * time.Second
)

// frugal makes this process give its memory back to the workspace: it bounds
// what waits for collection, and when work has ended it collects once more and
// forgets its code. Otherwise what a bulk transfer left
// in pools would stay until the collector runs by itself, minutes later. It
// works until ctx ends.
func frugal(ctx context.Context) (wait func()) {
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
	keepHeadroom()
	for {
		select {
		case <-collected:
			if now := automaticCollections(); now != seen {
				seen = now
				keepHeadroom()
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

// keepHeadroom sets the collector's pace by what the heap holds now.
func keepHeadroom() {
	if os.Getenv("GOGC") != "" {
		return
	}
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	live := max(sample[0].Value.Uint64(), 1<<20)
	debug.SetGCPercent(int(min(max(headroom*100/live, leastGCPercent), mostGCPercent)))
}

// dropCode forgets which pages of the program were used, most of them once, at
// the start or for what has ended. Those that are needed again are mapped again
// from the kernel's cache of the file.
func dropCode() {
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return // no proc: nothing would be gained that anybody can see
	}
	for _, m := range untouched(string(maps)) {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, m.from, m.to-m.from, syscall.MADV_DONTNEED)
	}
}

// mapping is a range of addresses.
type mapping struct{ from, to uintptr }

// untouched returns the mappings of files, of those in the format of
// /proc/PID/smaps, that cannot be written and were never: what a dynamic linker
// has changed before it protected it would be lost.
func untouched(smaps string) []mapping {
	var found []mapping
	var now mapping
	for line := range strings.Lines(smaps) {
		f := strings.Fields(line)
		var next mapping
		switch {
		case len(f) == 3 && f[0] == "Anonymous:":
			if f[1] == "0" && now != (mapping{}) {
				found = append(found, now)
			}
		case len(f) >= 5 && !strings.HasSuffix(f[0], ":"):
			if _, err := fmt.Sscanf(f[0], "%x-%x", &next.from, &next.to); err != nil {
				continue
			}
			now = mapping{}
			if len(f) == 6 && (f[1] == "r-xp" || f[1] == "r--p") && strings.HasPrefix(f[5], "/") {
				now = next
			}
		}
	}
	return found
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
