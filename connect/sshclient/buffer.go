package sshclient

import (
	"io"
	"sync"
)

// chunkSize is the memory that a buffer takes at a time: two data messages.
const chunkSize = 2 * maxData

// buffer is a pipe that never blocks its writer: the window of the channel
// bounds what it holds.
type buffer struct {
	mu     sync.Mutex
	cond   sync.Cond
	chunks [][]byte
	free   []byte // one chunk to use again
	err    error  // what readers get at the end; nil while it is open
}

func newBuffer() *buffer {
	b := &buffer{}
	b.cond.L = &b.mu
	return b
}

// add appends a copy of p.
func (b *buffer) add(p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return
	}
	if n := len(b.chunks); n > 0 && cap(b.chunks[n-1])-len(b.chunks[n-1]) >= len(p) {
		b.chunks[n-1] = append(b.chunks[n-1], p...)
	} else {
		b.chunks = append(b.chunks, append(b.chunkLocked(len(p)), p...))
	}
	b.cond.Signal()
}

func (b *buffer) chunkLocked(size int) []byte {
	if c := b.free; c != nil && cap(c) >= size {
		b.free = nil
		return c[:0]
	}
	if size > 256 { // small ones stay small: most sessions are a few keystrokes
		size = max(size, chunkSize)
	}
	return make([]byte, 0, size)
}

// end lets readers have what is left, and then err.
func (b *buffer) end(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
	b.cond.Broadcast()
}

// take waits for bytes and returns all of one chunk; give it back with give.
func (b *buffer) take() ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.chunks) == 0 {
		if b.err != nil {
			return nil, b.err
		}
		b.cond.Wait()
	}
	c := b.chunks[0]
	b.chunks = b.chunks[1:]
	return c, nil
}

func (b *buffer) give(chunk []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free = chunk
}

// stream is the reading side of a channel: stdout or stderr.
type stream struct {
	*buffer
	channel *channel
	rest    []byte // of the chunk that Read is in
}

// Read is that of an io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		var err error
		if s.rest, err = s.take(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	s.channel.consumed(n)
	return n, nil
}

// WriteTo copies until the end, chunk by chunk as they come. What w refuses is
// lost; the window opens all the same.
func (s *stream) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		c, err := s.take()
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		n, err := w.Write(c)
		total += int64(n)
		s.channel.consumed(len(c))
		if err != nil {
			return total, err
		}
		s.give(c)
	}
}
