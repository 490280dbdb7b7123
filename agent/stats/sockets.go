//go:build linux

package stats

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// listener is a TCP socket that takes connections.
type listener struct {
	address netip.AddrPort
	uid     uint32 // of the user who made it
	inode   uint64
}

// Where the fields of a line of /proc/net/tcp are (proc(5)).
const (
	fieldAddress = 1
	fieldState   = 3
	fieldUID     = 7
	fieldInode   = 9
)

// stateListen is TCP_LISTEN there.
const stateListen = "0A"

// listeners reads the format of /proc/net/tcp and tcp6. Lines that are none of
// it, its first one too, count as no listener.
func listeners(r io.Reader) (found []listener, err error) {
	s := bufio.NewScanner(r)
	for s.Scan() {
		if l, is := parseListener(s.Text()); is {
			found = append(found, l)
		}
	}
	return found, s.Err()
}

func parseListener(line string) (l listener, is bool) {
	fields := strings.Fields(line)
	if len(fields) <= fieldInode || fields[fieldState] != stateListen {
		return listener{}, false
	}
	uid, err := strconv.ParseUint(fields[fieldUID], 10, 32)
	if err != nil {
		return listener{}, false
	}
	l.uid = uint32(uid)
	if l.inode, err = strconv.ParseUint(fields[fieldInode], 10, 64); err != nil {
		return listener{}, false
	}
	l.address, is = parseAddress(fields[fieldAddress])
	return l, is
}

// parseAddress reads an address of words in the machine's byte order, and a
// port, all in hexadecimal.
func parseAddress(text string) (netip.AddrPort, bool) {
	words, port, _ := strings.Cut(text, ":")
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, false
	}
	b, err := hex.DecodeString(words)
	if err != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.BigEndian.PutUint32(b[i:], binary.NativeEndian.Uint32(b[i:]))
	}
	address, is := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(address.Unmap(), uint16(n)), is
}
