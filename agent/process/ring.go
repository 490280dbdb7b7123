package process

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// keep is how many bytes of each end of an output are kept: a page of compiler
// errors, or the log of a start.
const keep = 32 << 10

// ring keeps both ends of what is written. The zero value is empty.
type ring struct {
	head []byte
	tail []byte // of keep bytes once it is used; next is where the oldest is
	next int
	size uint64 // bytes written in all
}

func (r *ring) write(p []byte) {
	r.size += uint64(len(p))
	room := min(keep-len(r.head), len(p))
	r.head = append(r.head, p[:room]...)
	p = p[room:]
	p = p[max(0, len(p)-keep):]
	for len(p) > 0 && len(r.tail) < keep {
		n := min(keep-len(r.tail), len(p))
		r.tail = append(r.tail, p[:n]...)
		p = p[n:]
	}
	for len(p) > 0 {
		n := copy(r.tail[r.next:], p)
		r.next = (r.next + n) % keep
		p = p[n:]
	}
}

// omitted is how many bytes are not kept.
func (r *ring) omitted() uint64 { return r.size - uint64(len(r.head)+len(r.tail)) }

// text is what is kept, with a line that says what is not. Bytes that are no UTF-8
// are replaced.
func (r *ring) text() string {
	var b strings.Builder
	b.Write(r.head)
	if n := r.omitted(); n > 0 {
		fmt.Fprintf(&b, "\n[%d bytes are left out here]\n", n)
	}
	b.Write(r.tail[r.next:])
	b.Write(r.tail[:r.next])
	return strings.ToValidUTF8(b.String(), string(utf8.RuneError))
}
