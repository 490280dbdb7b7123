package resume

import (
	"math/bits"
	"sync"
)

// ring is a queue of bytes that grows up to a bound and knows their offsets in
// the stream. The zero value is an empty one at offset 0.
type ring struct {
	buf  []byte // its length is a power of two, or zero
	head uint64 // offset of the oldest byte
	tail uint64 // offset after the newest byte

	filling bool // what reserve returned is being filled
}

// smallestRing is what an idle stream keeps per direction.
const smallestRing = 4 << 10

// rings are buffers of empty rings, by the logarithm of their size: a stream in
// bulk empties its ring for every frame, and one that is idle holds nothing.
var rings [32]sync.Pool

func getRing(size int) []byte {
	if buf, ok := rings[bits.Len(uint(size))].Get().(*[]byte); ok {
		return *buf
	}
	return make([]byte, size)
}

func putRing(buf []byte) {
	if len(buf) > smallestRing {
		rings[bits.Len(uint(len(buf)))].Put(&buf)
	}
}

func (r *ring) len() int { return int(r.tail - r.head) }

// reserve returns room for n bytes after the newest, in one or two parts, which
// put makes part of the queue.
func (r *ring) reserve(n int) (first, second []byte) {
	r.grow(r.len() + n)
	r.filling = true
	return r.parts(r.tail, n)
}

func (r *ring) put(n int) {
	r.tail += uint64(n)
	r.filling = false
}

// write appends p.
func (r *ring) write(p []byte) {
	first, second := r.reserve(len(p))
	copy(second, p[copy(first, p):])
	r.put(len(p))
}

// copyFrom fills p with the bytes from offset on, and returns how many those are.
func (r *ring) copyFrom(p []byte, offset uint64) int {
	n := min(len(p), int(r.tail-offset))
	first, second := r.parts(offset, n)
	return copy(p, first) + copy(p[len(first):], second)
}

// drop forgets what is before offset.
func (r *ring) drop(offset uint64) {
	r.head = offset
	if r.head == r.tail && len(r.buf) > smallestRing && !r.filling {
		putRing(r.buf)
		r.buf = nil
	}
}

func (r *ring) parts(offset uint64, n int) (first, second []byte) {
	if n == 0 {
		return nil, nil
	}
	at := int(offset & uint64(len(r.buf)-1))
	first = r.buf[at:min(at+n, len(r.buf))]
	return first, r.buf[:n-len(first)]
}

func (r *ring) grow(need int) {
	if need <= len(r.buf) {
		return
	}
	size := max(len(r.buf), smallestRing)
	for size < need {
		size *= 2
	}
	bigger := ring{buf: getRing(size), head: r.head, tail: r.head}
	first, second := r.parts(r.head, r.len())
	bigger.write(first)
	bigger.write(second)
	putRing(r.buf)
	*r = bigger
}
