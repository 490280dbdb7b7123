package sshclient

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

const (
	// maxPacket bounds what one packet may claim to hold: the largest data
	// message that we allow, with room for its head. RFC 4253 §6.1 wants 35000.
	maxPacket = maxData + 4096

	// maxVersion bounds a line before the server's version, and maxLines how
	// many there may be.
	maxVersion = 255
	maxLines   = 64

	blockSize = 16 // of AES; packets are padded to it
	tagSize   = 16 // of GCM
)

// errPacket reports bytes that are no SSH packet.
var errPacket = errors.New("the other side does not speak SSH as it should")

// gcm is the keys of one direction: AES-GCM of RFC 5647 with the length in the
// clear, as OpenSSH names it.
type gcm struct {
	aead  cipher.AEAD
	nonce [12]byte
}

func newGCM(key, iv []byte) (*gcm, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	g := &gcm{}
	copy(g.nonce[:], iv)
	g.aead, err = cipher.NewGCM(block)
	return g, err
}

// next counts the packet in the last 8 bytes of the nonce.
func (g *gcm) next() {
	n := binary.BigEndian.Uint64(g.nonce[4:])
	binary.BigEndian.PutUint64(g.nonce[4:], n+1)
}

// reader reads packets. It is used by one goroutine.
type reader struct {
	r    *bufio.Reader
	keys *gcm // nil before the first keys
	buf  []byte
}

// packet returns the payload of the next packet, which is valid until the next
// call and not empty.
//
//	4 bytes  length of what follows, without tag
//	1 byte   n, the number of bytes of padding
//	         payload
//	n bytes  padding
//	16 bytes tag, once there are keys
func (r *reader) packet() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size < 5 || size > maxPacket {
		return nil, fmt.Errorf("%w: a packet of %d bytes", errPacket, size)
	}
	whole := int(size)
	if r.keys != nil {
		whole += tagSize
	}
	if cap(r.buf) < whole {
		r.buf = make([]byte, whole, 2*whole)
	}
	body := r.buf[:whole]
	if _, err := io.ReadFull(r.r, body); err != nil {
		return nil, unexpected(err)
	}
	if r.keys != nil {
		var err error
		if body, err = r.keys.aead.Open(body[:0], r.keys.nonce[:], body, head[:]); err != nil {
			return nil, fmt.Errorf("%w: a packet was changed on its way", errPacket)
		}
		r.keys.next()
	}
	padding := int(body[0])
	if padding+1 >= len(body) {
		return nil, fmt.Errorf("%w: a packet is all padding", errPacket)
	}
	return body[1 : len(body)-padding], nil
}

// version returns the version line of the server, without its end. Lines
// before it are skipped, as RFC 4253 §4.2 has it.
func (r *reader) version() (string, error) {
	for range maxLines {
		line, err := r.line()
		if err != nil {
			return "", err
		}
		if len(line) >= 4 && line[:4] == "SSH-" {
			return line, nil
		}
	}
	return "", fmt.Errorf("%w: no version after %d lines", errPacket, maxLines)
}

func (r *reader) line() (string, error) {
	var line []byte
	for len(line) <= maxVersion {
		c, err := r.r.ReadByte()
		if err != nil {
			return "", unexpected(err)
		}
		if c == '\n' {
			if n := len(line); n > 0 && line[n-1] == '\r' {
				line = line[:n-1]
			}
			return string(line), nil
		}
		line = append(line, c)
	}
	return "", fmt.Errorf("%w: a line of more than %d bytes", errPacket, maxVersion)
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// writer writes packets. Queued ones are sent by flush, together.
type writer struct {
	w io.Writer

	mu   sync.Mutex // guards below; held while keys are exchanged
	keys *gcm
	buf  []byte // queued, sealed
	err  error  // of the first write that failed
}

// send queues payloads and sends them with what was queued before.
func (w *writer) send(payloads ...[]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range payloads {
		w.queueLocked(p)
	}
	return w.flushLocked()
}

// queueLocked seals one packet made of the parts of a payload.
func (w *writer) queueLocked(parts ...[]byte) {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	inClear := 4 // without keys the length is padded too
	if w.keys != nil {
		inClear = 0
	}
	padding := blockSize - (inClear+1+size)%blockSize
	if padding < 4 {
		padding += blockSize
	}
	start := len(w.buf)
	w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(1+size+padding))
	w.buf = append(w.buf, byte(padding))
	for _, p := range parts {
		w.buf = append(w.buf, p...)
	}
	var random [2 * blockSize]byte
	rand.Read(random[:padding]) // never fails
	w.buf = append(w.buf, random[:padding]...)
	if w.keys == nil {
		return
	}
	head, body := w.buf[start:start+4], w.buf[start+4:]
	sealed := w.keys.aead.Seal(body[:0], w.keys.nonce[:], body, head)
	w.buf = append(w.buf[:start+4], sealed...)
	w.keys.next()
}

func (w *writer) flushLocked() error {
	if w.err == nil {
		_, w.err = w.w.Write(w.buf)
	}
	w.buf = w.buf[:0]
	return w.err
}
