package sftp

import (
	"encoding/binary"
	"errors"
)

// Packet types.
const (
	typeInit          = 1
	typeVersion       = 2
	typeOpen          = 3
	typeClose         = 4
	typeRead          = 5
	typeWrite         = 6
	typeLstat         = 7
	typeFstat         = 8
	typeSetstat       = 9
	typeFsetstat      = 10
	typeOpendir       = 11
	typeReaddir       = 12
	typeRemove        = 13
	typeMkdir         = 14
	typeRmdir         = 15
	typeRealpath      = 16
	typeStat          = 17
	typeRename        = 18
	typeReadlink      = 19
	typeSymlink       = 20
	typeStatus        = 101
	typeHandle        = 102
	typeData          = 103
	typeName          = 104
	typeAttrs         = 105
	typeExtended      = 200
	typeExtendedReply = 201
)

// Limits of one packet. They are those of OpenSSH, which clients learn through
// limits@openssh.com: a read or a write leaves 1 KiB for what is around it.
const (
	maxPacket = 256 << 10
	maxData   = maxPacket - 1024
)

var errMalformed = errors.New("malformed packet")

// reader takes a packet apart. After an error everything it returns is zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) take(n int) []byte {
	if r.err != nil || n < 0 || len(r.b) < n {
		r.err = errMalformed
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// bytes returns a string of the packet without copying it.
func (r *reader) bytes() []byte { return r.take(int(r.uint32())) }

func (r *reader) string() string { return string(r.bytes()) }

// builder puts a packet together; its length is filled in by finish.
type builder struct{ b []byte }

// start begins a packet in the memory of the one before.
func (w *builder) start(kind byte, id uint32) {
	w.b = append(w.b[:0], 0, 0, 0, 0, kind)
	w.uint32(id)
}

func (w *builder) uint32(v uint32) { w.b = binary.BigEndian.AppendUint32(w.b, v) }
func (w *builder) uint64(v uint64) { w.b = binary.BigEndian.AppendUint64(w.b, v) }

func (w *builder) string(s string) {
	w.uint32(uint32(len(s)))
	w.b = append(w.b, s...)
}

func (w *builder) finish() []byte {
	binary.BigEndian.PutUint32(w.b, uint32(len(w.b)-4))
	return w.b
}
