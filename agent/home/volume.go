//go:build linux

package home

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// errAgain is returned when something changed under our hands: what there is
// must be looked at again.
var errAgain = errors.New("it changes all the time")

// errLocked is returned when a lock was not free in time.
var errLocked = errors.New("is locked by another process")

// mounts returns the mount points at a path and below it.
func mounts(path string) ([]string, error) {
	list, err := mountinfo.GetMounts(mountinfo.PrefixFilter(path))
	if err != nil {
		return nil, fmt.Errorf("read the mounts: %w", err)
	}
	var points []string
	for _, m := range list {
		points = append(points, m.Mountpoint)
	}
	return points, nil
}

// isMounted reports whether a file system is mounted at path. A plain directory
// is not enough: it would be thrown away with the container.
func isMounted(path string) (bool, error) {
	points, err := mounts(path)
	for _, p := range points {
		if p == path {
			return true, nil
		}
	}
	return false, err
}

// control is the directory on the volume that is ours.
type control struct {
	*dir
	tmp *dir // for copies; only whoever has the lock keeps something in it
}

// openControl makes it and writes into it, as much as a seed would at least.
// The error says why the volume cannot be written to; then there is none.
func openControl(volume *dir) (*control, error) {
	top, err := volume.make(controlDir, 0o700)
	if err != nil {
		return nil, err
	}
	c := &control{dir: top}
	if c.tmp, err = top.make("tmp", 0o700); err != nil {
		top.close()
		return nil, err
	}
	if err := c.probe(); err != nil && !isFull(err) {
		c.close()
		return nil, err
	} else if err != nil {
		return c, err
	}
	return c, nil
}

func (c *control) close() {
	c.tmp.close()
	c.dir.close()
}

func (c *control) probe() error {
	name := "probe-" + randomName()
	f, err := c.tmp.open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 4096))
	err = errors.Join(err, f.Sync(), f.Close())
	gone := c.tmp.unlink(name)
	if errors.Is(gone, os.ErrNotExist) { // whoever got the lock meanwhile cleaned up
		gone = nil
	}
	return errors.Join(err, gone)
}

func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// noRoom reports whether err means that the volume as such cannot take more.
func noRoom(err error) bool { return isFull(err) || errors.Is(err, unix.EROFS) }

// clean deletes what a process that was killed left in tmp. Nothing is ever
// there only.
func (c *control) clean() error {
	names, err := c.tmp.names()
	for _, name := range names {
		err = errors.Join(err, node{c.tmp, name}.remove())
	}
	return err
}

// fresh is a place for a copy in tmp.
func (c *control) fresh() node { return node{c.tmp, randomName()} }

// lock waits for the lock of the volume.
func (c *control) lock(ctx context.Context, wait time.Duration) (unlock func(), err error) {
	f, err := c.open("lock", unix.O_RDWR|unix.O_CREAT, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(ctx, f, wait); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // which unlocks
}

// lockPause is the time between two tries; a lock is held for milliseconds, or
// for as long as a large seed takes.
const lockPause = 20 * time.Millisecond

// lock waits for the exclusive lock of an open file. Closing the file unlocks
// it, and so does the end of the process.
func lock(ctx context.Context, f *os.File, wait time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, wait, fmt.Errorf("%s %w", f.Name(), errLocked))
	defer cancel()
	tick := time.NewTicker(lockPause)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// randomName is a name of 8 letters and digits that nobody else comes upon.
func randomName() string {
	var b [4]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// mountedBelow says which file system is mounted at a path of the home or below
// it; "" is none. What is moved or deleted there would be in that one.
func mountedBelow(path string) (string, error) {
	points, err := mounts(path)
	for _, p := range points {
		if isWithin(p, path) {
			return strings.TrimSuffix(p, "/"), nil
		}
	}
	return "", err
}
