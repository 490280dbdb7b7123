//go:build linux

package stats

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// firstPort is the first one that is listed: those below are the agent's own
	// on the tailnet (reference: tailnet §6).
	firstPort = 9
	// ownerRetry is how long a socket whose owner cannot be seen is not looked
	// for again: it may be passed to somebody who can.
	ownerRetry = 10 * time.Second
	// searchTime is enough for some thousand descriptors. With the 10 ms that the
	// kernel needs to list the sockets of a machine with 24 GB it makes 20 ms a
	// call.
	searchTime = 10 * time.Millisecond
)

// Port is one that a process of the workspace listens on.
type Port struct {
	Process string `json:"process_name"` // its name; "" when it is hidden, or not found yet
	Network string `json:"network"`      // always tcp
	Number  uint16 `json:"port"`

	PID int    `json:"-"` // 0 when it is hidden, or not found yet
	UID uint32 `json:"-"` // of the user who began to listen
}

// Ports finds the TCP ports that processes listen on. The zero value reads
// /proc; the methods may be called concurrently.
//
// Most of the work is to find out which process has a socket: all descriptors
// of all processes have to be looked at. So that is remembered, done again for
// new sockets only, and goes on with the next call when it takes too long.
type Ports struct {
	// Proc is where the proc file system is; "" means /proc.
	Proc string

	// SearchTime bounds the search for owners in one call; 0 means 10 ms.
	SearchTime time.Duration

	owners   atomic.Pointer[map[uint64]owner] // by inode; replaced, never changed
	searched atomic.Int64                     // the process at which the last search ended
}

// owner is who has a socket.
type owner struct {
	pid        int       // 0 when it was not found
	descriptor string    // the file of it below /proc
	lookedFor  time.Time // when it was not found
}

// List returns the ports from 9 on that can be reached by loopback, which is
// how the agent forwards: on 127.0.0.1, ::1 or any address. A port that is
// listened on over IPv4 and IPv6 is one; its owner is that of IPv4, which is
// tried first. They are in order of their numbers.
func (p *Ports) List() ([]Port, error) {
	sockets, err := p.sockets()
	if err != nil {
		return nil, fmt.Errorf("list ports: %w", err)
	}
	owners := p.ownersOf(sockets)
	ports := map[uint16]Port{}
	for _, s := range sockets {
		n := s.address.Port()
		if known := ports[n]; known.PID == 0 {
			pid := owners[s.inode].pid
			ports[n] = Port{Process: p.name(pid), Network: "tcp", Number: n, PID: pid, UID: s.uid}
		}
	}
	list := make([]Port, 0, len(ports))
	for _, n := range slices.Sorted(maps.Keys(ports)) {
		list = append(list, ports[n])
	}
	return list, nil
}

func (p *Ports) path(parts ...string) string {
	return filepath.Join(append([]string{cmp.Or(p.Proc, "/proc")}, parts...)...)
}

// sockets returns those that List is about, IPv4 first.
func (p *Ports) sockets() (found []listener, err error) {
	for _, name := range []string{"tcp", "tcp6"} {
		f, err := os.Open(p.path("net", name))
		if name == "tcp6" && errors.Is(err, fs.ErrNotExist) {
			break // a machine without IPv6
		}
		if err != nil {
			return nil, err
		}
		all, err := listeners(f)
		_ = f.Close()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Name(), err)
		}
		found = append(found, all...)
	}
	return slices.DeleteFunc(found, func(l listener) bool {
		return l.address.Port() < firstPort || !byLoopback(l.address.Addr())
	}), nil
}

func byLoopback(a netip.Addr) bool {
	return a.IsUnspecified() || a == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || a == netip.IPv6Loopback()
}

// ownersOf returns who has the sockets, and remembers it.
func (p *Ports) ownersOf(sockets []listener) map[uint64]owner {
	var before map[uint64]owner
	if known := p.owners.Load(); known != nil {
		before = *known
	}
	owners, missing := map[uint64]owner{}, map[uint64]bool{}
	for _, s := range sockets {
		if o, known := before[s.inode]; known && p.holds(o, s.inode) {
			owners[s.inode] = o
		} else {
			missing[s.inode] = true
		}
	}
	if len(missing) > 0 && p.search(missing, owners, time.Now().Add(cmp.Or(p.SearchTime, searchTime))) {
		for inode := range missing {
			owners[inode] = owner{lookedFor: time.Now()}
		}
	}
	p.owners.Store(&owners)
	return owners
}

// holds reports whether an owner still has a socket, or whether it is too early
// to look for one again.
func (p *Ports) holds(o owner, inode uint64) bool {
	if o.pid == 0 {
		return time.Since(o.lookedFor) < ownerRetry
	}
	return socketAt(unix.AT_FDCWD, p.path(o.descriptor)) == inode
}

// search moves the sockets that it finds from missing to owners. It begins after
// the process at which the last search ended, and reports whether it has come
// round by a time. Processes that end meanwhile, and those of others, are passed
// over.
func (p *Ports) search(missing map[uint64]bool, owners map[uint64]owner, until time.Time) (all bool) {
	last := int(p.searched.Load())
	pids := p.processes()
	next, known := slices.BinarySearch(pids, last)
	if known {
		next++
	}
	for i, pid := range slices.Concat(pids[next:], pids[:next]) {
		p.searchProcess(pid, missing, owners)
		if i == len(pids)-1 || len(missing) == 0 {
			break
		}
		if !time.Now().Before(until) {
			p.searched.Store(int64(pid))
			return false
		}
	}
	p.searched.Store(0)
	return true
}

// processes returns the ids of all, in their order.
func (p *Ports) processes() (pids []int) {
	dir, err := os.Open(p.path())
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

func (p *Ports) searchProcess(pid int, missing map[uint64]bool, owners map[uint64]owner) {
	descriptors := filepath.Join(strconv.Itoa(pid), "fd")
	dir, err := os.Open(p.path(descriptors))
	if err != nil {
		return
	}
	defer dir.Close()
	at := int(dir.Fd())
	fds, _ := dir.Readdirnames(-1)
	for _, fd := range fds {
		inode := socketAt(at, fd)
		if missing[inode] {
			delete(missing, inode)
			owners[inode] = owner{pid: pid, descriptor: filepath.Join(descriptors, fd)}
		}
	}
}

// socketAt returns the inode of the socket that a descriptor is, else 0. There
// are thousands to look at: it makes one system call and, where there is no
// socket, no garbage.
func socketAt(dir int, descriptor string) uint64 {
	var buf [64]byte
	n, err := unix.Readlinkat(dir, descriptor, buf[:])
	if err != nil {
		return 0
	}
	number, is := bytes.CutPrefix(buf[:n], []byte("socket:["))
	if !is {
		return 0
	}
	inode, _ := strconv.ParseUint(string(bytes.TrimSuffix(number, []byte("]"))), 10, 64)
	return inode
}

// name returns what a process is called.
func (p *Ports) name(pid int) string {
	if pid == 0 {
		return ""
	}
	process := strconv.Itoa(pid)
	comm, _ := os.ReadFile(p.path(process, "comm"))
	name := strings.TrimSuffix(string(comm), "\n")
	if name == "MainThread" { // as runtimes of scripts may call theirs, and the process with it
		args, _ := os.ReadFile(p.path(process, "cmdline"))
		program, _, _ := strings.Cut(string(args), "\x00")
		name = filepath.Base(program)
	}
	return name
}
