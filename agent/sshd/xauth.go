//go:build linux

package sshd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"
)

// familyLocal is the address family of displays on the machine itself, whose
// address is its host name. Programs look under it for localhost too.
const familyLocal = 0x0100

// xauthEntry is one entry of an Xauthority file: a uint16 family and four
// strings, each a uint16 length and that many bytes. Numbers are big endian.
type xauthEntry struct {
	family                      uint16
	address, number, name, data []byte
}

func localEntry(number uint32, protocol string, cookie []byte) xauthEntry {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return xauthEntry{familyLocal, []byte(host), []byte(strconv.Itoa(int(number))), []byte(protocol), cookie}
}

// same reports whether both are for the same display.
func (e xauthEntry) same(other xauthEntry) bool {
	return e.family == other.family && bytes.Equal(e.address, other.address) && bytes.Equal(e.number, other.number)
}

func (e xauthEntry) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, e.family)
	for _, s := range [][]byte{e.address, e.number, e.name, e.data} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
		b = append(b, s...)
	}
	return b
}

var errXauth = errors.New("malformed Xauthority file")

func parseXauth(b []byte) (entries []xauthEntry, err error) {
	for len(b) > 0 {
		var e xauthEntry
		if len(b) < 2 {
			return nil, errXauth
		}
		e.family, b = binary.BigEndian.Uint16(b), b[2:]
		for _, s := range []*[]byte{&e.address, &e.number, &e.name, &e.data} {
			if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
				return nil, errXauth
			}
			n := int(binary.BigEndian.Uint16(b))
			*s, b = b[2:2+n], b[2+n:]
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// xauthFile is the name of an Xauthority file.
type xauthFile string

// put adds e in place of any other entry for its display.
func (f xauthFile) put(ctx context.Context, e xauthEntry) error {
	return f.change(ctx, func(entries []xauthEntry) []xauthEntry {
		return append(without(entries, e), e)
	})
}

// remove takes e out, unless somebody else has replaced it.
func (f xauthFile) remove(e xauthEntry) error {
	return f.change(context.Background(), func(entries []xauthEntry) []xauthEntry {
		for _, other := range entries {
			if other.same(e) && !bytes.Equal(other.data, e.data) {
				return entries
			}
		}
		return without(entries, e)
	})
}

func without(entries []xauthEntry, e xauthEntry) (kept []xauthEntry) {
	for _, other := range entries {
		if !other.same(e) {
			kept = append(kept, other)
		}
	}
	return kept
}

// change replaces the file by what edit makes of its entries, while it holds
// the lock that xauth(1) takes too.
func (f xauthFile) change(ctx context.Context, edit func([]xauthEntry) []xauthEntry) error {
	unlock, err := f.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := os.ReadFile(string(f))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read cookies: %w", err)
	}
	entries, err := parseXauth(old)
	if err != nil {
		return fmt.Errorf("read cookies: %w", err)
	}
	var b []byte
	for _, e := range edit(entries) {
		b = e.append(b)
	}
	next := string(f) + "-n"
	if err = os.WriteFile(next, b, 0o600); err == nil {
		err = os.Rename(next, string(f))
	}
	if err != nil {
		_ = os.Remove(next)
		return fmt.Errorf("write cookies: %w", err)
	}
	return nil
}

// A lock of xauth's is two names of one file; who can make the second holds
// it. One older than xauthStale was left by a program that died.
const (
	xauthTries = 25
	xauthPause = 40 * time.Millisecond
	xauthStale = time.Minute
)

func (f xauthFile) lock(ctx context.Context) (unlock func(), err error) {
	creat, link := string(f)+"-c", string(f)+"-l"
	release := func() { _ = os.Remove(creat); _ = os.Remove(link) }
	for range xauthTries {
		if st, err := os.Stat(creat); err == nil && time.Since(st.ModTime()) > xauthStale {
			release()
		}
		var file *os.File
		if file, err = os.OpenFile(creat, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err == nil {
			_ = file.Close()
			if err = os.Link(creat, link); err == nil || !errors.Is(err, fs.ErrExist) {
				return release, nil // a file system without links has one name only
			}
			_ = os.Remove(creat)
		}
		if !errors.Is(err, fs.ErrExist) || !sleep(ctx, xauthPause) {
			break
		}
	}
	return nil, fmt.Errorf("lock %s: %w", f, err)
}
