package main

import (
	"runtime"
	"slices"
	"testing"
)

func TestUntouchedMappings(t *testing.T) {
	const smaps = `00400000-00c00000 r-xp 00000000 fd:00 123                        /usr/local/bin/coder
Size:               8192 kB
Rss:                4096 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
00c00000-00d00000 r--p 00800000 fd:00 123                        /usr/local/bin/coder
Anonymous:             4 kB
00d00000-00e00000 r--p 00900000 fd:00 123                        /usr/local/bin/coder
Anonymous:             0 kB
00e00000-00f00000 rw-p 00a00000 fd:00 123                        /usr/local/bin/coder
Anonymous:             0 kB
7f0000000000-7f0000001000 r--p 00000000 00:00 0 
Anonymous:             0 kB
7ffd00000000-7ffd00001000 r-xp 00000000 00:00 0                  [vdso]
Anonymous:             0 kB
`
	want := []mapping{{0x400000, 0xc00000}, {0xd00000, 0xe00000}}
	if got := untouched(smaps); !slices.Equal(got, want) {
		t.Errorf("untouched = %x, want %x", got, want)
	}
}

// TestDroppedCodeComesBack runs on after it: with the race detector the program
// is linked dynamically, and pages that the linker has changed must stay.
func TestDroppedCodeComesBack(t *testing.T) {
	for range 20 {
		dropCode()
		done := make(chan []int)
		for range 10 {
			go func() {
				runtime.LockOSThread() // ends with its thread, which libc began
				done <- make([]int, 1000)
			}()
		}
		for range 10 {
			<-done
		}
	}
}
