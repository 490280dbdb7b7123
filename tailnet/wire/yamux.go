package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A yamux frame begins with a header of 12 bytes, big endian:
//
//	0   version, 0
//	1   type
//	2   flags, 2 bytes
//	4   stream id, 4 bytes; 0 for a ping and a go-away
//	8   length, 4 bytes: of the data that follow; or by how much the window of
//	    the stream grows; or which ping this is; or why to go away
//
// A stream begins with SYN (answered with ACK) and ends when both sides have
// sent FIN, or one RST. Each side may send as much data as the other's window,
// which begins at 256 KiB, holds.
const headerSize = 12

const (
	typeData = iota
	typeWindow
	typePing
	typeGoAway
)

const (
	flagSYN = 1 << iota
	flagACK
	flagFIN
	flagRST
)

const (
	firstWindow = 256 << 10
	// protocolError is the reason of a go-away.
	protocolError = 1
)

// errProtocol is wrapped by what ends a session whose other side breaks the
// rules of yamux.
var errProtocol = errors.New("yamux")

type header struct {
	kind       byte
	flags      uint16
	id, length uint32
}

func parseHeader(b *[headerSize]byte) (header, error) {
	h := header{
		kind: b[1], flags: binary.BigEndian.Uint16(b[2:]),
		id: binary.BigEndian.Uint32(b[4:]), length: binary.BigEndian.Uint32(b[8:]),
	}
	if b[0] != 0 || h.kind > typeGoAway {
		return h, fmt.Errorf("%w: version %d, type %d", errProtocol, b[0], h.kind)
	}
	return h, nil
}

// put writes a header to the first 12 bytes of b.
func (h header) put(b []byte) {
	b[0], b[1] = 0, h.kind
	binary.BigEndian.PutUint16(b[2:], h.flags)
	binary.BigEndian.PutUint32(b[4:], h.id)
	binary.BigEndian.PutUint32(b[8:], h.length)
}
