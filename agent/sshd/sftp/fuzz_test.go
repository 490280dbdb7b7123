//go:build linux

package sftp

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
)

// harmless are the requests that change nothing, whatever name they hold.
var harmless = []byte{
	typeInit, typeClose, typeRead, typeWrite, typeStat, typeLstat, typeFstat, typeFsetstat,
	typeReaddir, typeReadlink, typeRealpath, typeExtended, 99,
}

// FuzzServe sends requests with any contents and checks that every answer is
// one packet that repeats the id.
func FuzzServe(f *testing.F) {
	f.Add(byte(11), []byte("\x00\x00\x00\x01\x00\x00\x00\x12limits@openssh.com"))
	f.Add(byte(10), []byte("\x00\x00\x00\x01\x00\x00\x00\x01/"))
	f.Add(byte(11), []byte("\x00\x00\x00\x01\x00\x00\x00\x1eusers-groups-by-id@openssh.com\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		kind = harmless[int(kind)%len(harmless)]
		if kind == typeExtended && !bytes.Contains(body, []byte("limits")) && !bytes.Contains(body, []byte("users-")) {
			return // others may change files
		}
		packet := append(binary.BigEndian.AppendUint32(nil, uint32(1+len(body))), kind)
		var out bytes.Buffer
		err := Serve(struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(append(packet, body...)), &out}, Config{})
		if err != nil {
			return
		}
		answer := out.Bytes()
		if len(answer) < 9 || int(binary.BigEndian.Uint32(answer)) != len(answer)-4 || len(answer) > maxPacket {
			t.Fatalf("answer to type %d of %d bytes = %d bytes %.20q", kind, len(body), len(answer), answer)
		}
		if kind != typeInit && !bytes.Equal(answer[5:9], body[:4]) {
			t.Errorf("answer to type %d has id %x, want %x", kind, answer[5:9], body[:4])
		}
	})
}

func FuzzAttrs(f *testing.F) {
	f.Add([]byte("\x80\x00\x00\x0f\x00\x00\x00\x00\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &reader{b: data}
		a := r.attrs()
		if r.err == nil && len(r.b) > len(data)-4 {
			t.Errorf("attrs(%x) = %+v took %d of %d bytes", data, a, len(data)-len(r.b), len(data))
		}
		if mode := a.modeOr(0o644); mode > 0o7777 {
			t.Errorf("attrs(%x).modeOr = %o, want permissions only", data, mode)
		}
	})
}
