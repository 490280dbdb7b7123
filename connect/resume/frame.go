package resume

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// magic begins every connection; its digit is the version of the protocol.
const magic = "berthrs1"

// ID names a stream. Whoever knows it can take the stream over, so it is
// random.
type ID [16]byte

// flagNew makes a stream that is not known.
const flagNew = 1

// Port is where agents of ours take streams, on the tailnet.
const Port = 5

// What a stream to an agent is for: Config.Service.
const (
	ServiceSSH      byte = 0
	ServiceTerminal byte = 1
)

const (
	statusAttached = iota
	statusUnknown
	statusFull
)

type greeting struct {
	fresh    bool
	service  byte
	id       ID
	received uint64
}

const greetingSize = len(magic) + 2 + len(ID{}) + 8

func (g greeting) append(b []byte) []byte {
	b = append(b, magic...)
	var flags byte
	if g.fresh {
		flags = flagNew
	}
	b = append(b, flags, g.service)
	b = append(b, g.id[:]...)
	return binary.BigEndian.AppendUint64(b, g.received)
}

var errNotOurs = errors.New("the other side does not speak this protocol")

func readGreeting(r io.Reader) (greeting, error) {
	var b [greetingSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return greeting{}, err
	}
	if string(b[:len(magic)]) != magic {
		return greeting{}, errNotOurs
	}
	rest := b[len(magic):]
	return greeting{
		fresh: rest[0]&flagNew != 0, service: rest[1], id: ID(rest[2:18]), received: binary.BigEndian.Uint64(rest[18:]),
	}, nil
}

type answer struct {
	status   byte
	received uint64
}

const answerSize = len(magic) + 1 + 8

func (a answer) append(b []byte) []byte {
	b = append(b, magic...)
	b = append(b, a.status)
	return binary.BigEndian.AppendUint64(b, a.received)
}

func readAnswer(r io.Reader) (answer, error) {
	var b [answerSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return answer{}, err
	}
	if string(b[:len(magic)]) != magic {
		return answer{}, errNotOurs
	}
	rest := b[len(magic):]
	return answer{status: rest[0], received: binary.BigEndian.Uint64(rest[1:])}, nil
}

const (
	frameData = 1 + iota
	frameAck
	frameFin
	frameEnd
)

// maxPayload is the largest payload of a frame: big enough for its header not
// to matter, small enough for an ack not to wait long behind it.
const maxPayload = 64 << 10

const headerSize = 13

type header struct {
	kind   byte
	length int
	taken  uint64
}

func (h header) put(b []byte) {
	b[0] = h.kind
	binary.BigEndian.PutUint32(b[1:], uint32(h.length))
	binary.BigEndian.PutUint64(b[5:], h.taken)
}

func readHeader(r io.Reader, b []byte) (header, error) {
	if _, err := io.ReadFull(r, b[:headerSize]); err != nil {
		return header{}, err
	}
	h := header{kind: b[0], length: int(binary.BigEndian.Uint32(b[1:])), taken: binary.BigEndian.Uint64(b[5:])}
	switch {
	case h.kind < frameData || h.kind > frameEnd:
		return h, fmt.Errorf("frame of unknown kind %d", h.kind)
	case h.length > maxPayload || h.length > 0 && h.kind != frameData:
		return h, fmt.Errorf("frame of kind %d with %d bytes", h.kind, h.length)
	}
	return h, nil
}
