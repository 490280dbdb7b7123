package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// newLogFile makes the log file of one ssh run. Editors find it by the id of
// their ssh process, the parent of a proxy, at the end of its name.
//
//	coder-ssh-<YYYYMMDD-HHMMSS>-<5 letters>[-<parent's id>].log
func newLogFile(dir string, now time.Time, proxy bool) (*os.File, error) {
	letters := make([]byte, 5)
	for i := range letters {
		letters[i] = byte('a' + rand.IntN(26))
	}
	name := fmt.Sprintf("coder-ssh-%s-%s", now.Format("20060102-150405"), letters)
	if proxy {
		name += fmt.Sprintf("-%d", os.Getppid())
	}
	return os.OpenFile(filepath.Join(dir, name+".log"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}
