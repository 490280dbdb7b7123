package pty

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
)

// Init is the first message of a connection.
type Init struct {
	ID            uuid.UUID
	Height, Width uint16 // 0 means 24 and 80
	Command       string // run by the user's shell; "" is a login shell
	Container     string // must be empty: there are no containers here
	ContainerUser string
	BackendType   string // accepted and ignored: there is only one
	MustExist     bool   `json:",omitempty"` // refuse to start a program
}

// message is what follows Init. Strings carry UTF-8 only.
type message struct {
	Data   string `json:"data,omitempty"`
	Height uint16 `json:"height,omitempty"`
	Width  uint16 `json:"width,omitempty"`
}

// maxMessage bounds one message in bytes: a large paste, escaped.
const maxMessage = 4 << 20

var errTooLong = errors.New("message is too long")

// WriteInit sends the first message of a viewer, which asks for a terminal.
func WriteInit(w io.Writer, init Init) error {
	body, err := json.Marshal(init)
	if err != nil {
		return err
	}
	if len(body) > 0xffff {
		return errTooLong
	}
	_, err = w.Write(append(binary.LittleEndian.AppendUint16(nil, uint16(len(body))), body...))
	return err
}

// readInit reads the first message and not a byte more.
func readInit(r io.Reader) (Init, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Init{}, fmt.Errorf("read length of first message: %w", err)
	}
	body := make([]byte, binary.LittleEndian.Uint16(head[:]))
	if _, err := io.ReadFull(r, body); err != nil {
		return Init{}, fmt.Errorf("read first message: %w", err)
	}
	var init Init
	if err := json.Unmarshal(body, &init); err != nil {
		return Init{}, fmt.Errorf("read first message: %w", err)
	}
	if init.ID == uuid.Nil {
		return Init{}, errors.New("first message has no ID")
	}
	return init, nil
}

// messages reads the objects after Init.
type messages struct {
	from io.Reader
	dec  *json.Decoder
	read int64 // bytes taken from from
}

func newMessages(r io.Reader) *messages {
	m := &messages{from: r}
	m.dec = json.NewDecoder(m)
	return m
}

// next returns the next message; io.EOF after the last whole one.
func (m *messages) next() (message, error) {
	var msg message
	err := m.dec.Decode(&msg)
	return msg, err
}

// Read gives the decoder bytes as long as the message it is at is not too long.
func (m *messages) Read(p []byte) (int, error) {
	if m.read-m.dec.InputOffset() > maxMessage {
		return 0, errTooLong
	}
	n, err := m.from.Read(p)
	m.read += int64(n)
	return n, err
}
