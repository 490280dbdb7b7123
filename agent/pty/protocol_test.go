package pty

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestInitOnTheWire(t *testing.T) {
	id := uuid.MustParse("12345678-1234-1234-1234-123456789abc")
	var wire bytes.Buffer
	if err := WriteInit(&wire, Init{ID: id, Height: 24, Width: 80, Command: "top"}); err != nil {
		t.Fatal(err)
	}
	want := `{"ID":"12345678-1234-1234-1234-123456789abc","Height":24,"Width":80,"Command":"top","Container":"","ContainerUser":"","BackendType":""}`
	if got := wire.String()[2:]; got != want {
		t.Errorf("writeInit sent %s, want %s", got, want)
	}
	if n := binary.LittleEndian.Uint16(wire.Bytes()); int(n) != len(want) {
		t.Errorf("writeInit sent length %d, want %d", n, len(want))
	}
	wire.WriteString("rest")
	got, err := readInit(&wire)
	if err != nil || got.ID != id || got.Command != "top" || wire.String() != "rest" {
		t.Errorf("readInit = %+v, %v, and left %q; want what was written and the rest", got, err, wire.String())
	}
}

func TestBadInit(t *testing.T) {
	for _, raw := range []string{"", "\x05", "\x05\x00{}", "\x02\x00{}", "\x02\x00[]", "\x0a\x00{\"ID\":\"x\"}", "\xff\xff" + strings.Repeat(" ", 0xffff)} {
		if init, err := readInit(strings.NewReader(raw)); err == nil {
			t.Errorf("readInit(%.20q) = %+v, want an error", raw, init)
		}
	}
}

func TestMessages(t *testing.T) {
	m := newMessages(strings.NewReader(`{"data":"a✅"}{"height":3,"width":4} {"data":"b","other":[1]}` + "\n{}"))
	want := []message{{Data: "a✅"}, {Height: 3, Width: 4}, {Data: "b"}, {}}
	for i, w := range want {
		if got, err := m.next(); err != nil || got != w {
			t.Errorf("message %d = %+v, %v; want %+v", i, got, err, w)
		}
	}
	if got, err := m.next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last message: %+v, %v; want EOF", got, err)
	}
}

func TestBadMessages(t *testing.T) {
	for _, raw := range []string{"[", "5", `{"height":-1}`, `{"height":70000}`, `{"data":5}`, "\x00", `{"data":"x"`, "nonsense"} {
		if got, err := newMessages(strings.NewReader(raw)).next(); err == nil {
			t.Errorf("next of %q = %+v, want an error", raw, got)
		}
	}
	long := `{"data":"` + strings.Repeat("x", 2*maxMessage)
	if _, err := newMessages(strings.NewReader(long)).next(); !errors.Is(err, errTooLong) {
		t.Errorf("next of an endless message: %v, want %v", err, errTooLong)
	}
	many := newMessages(strings.NewReader(strings.Repeat(`{"data":"`+strings.Repeat("x", 1<<20)+`"}`, 12)))
	for i := range 12 {
		if _, err := many.next(); err != nil {
			t.Fatalf("message %d of many long ones: %v, want none", i, err)
		}
	}
}

func FuzzMessages(f *testing.F) {
	f.Add([]byte(`{"data":"a"}{"height":1,"width":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := newMessages(bytes.NewReader(data))
		for {
			if _, err := m.next(); err != nil {
				break
			}
		}
		_, _ = readInit(bytes.NewReader(data))
	})
}

// TestClientSendsWholeCharacters types a character in two pieces, and broken
// ones.
func TestClientSendsWholeCharacters(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	sent := make(chan string)
	go func() {
		defer close(sent)
		if _, err := readInit(theirs); err != nil {
			return
		}
		for dec := json.NewDecoder(theirs); ; {
			var m message
			if dec.Decode(&m) != nil {
				return
			}
			sent <- m.Data
		}
	}()
	c, err := NewClient(ours, Init{ID: uuid.New()})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ in, want string }{
		{"a\xe2", "a"}, {"\x9c", ""}, {"\x85b", "✅b"}, {"\xff\xe2(", "\ufffd\ufffd("}, {"\x1b[A", "\x1b[A"},
	} {
		wrote := make(chan error, 1)
		go func() {
			_, err := c.Write([]byte(step.in))
			wrote <- err
		}()
		if step.want != "" {
			if got := <-sent; got != step.want {
				t.Errorf("Write(%q) sent %q, want %q", step.in, got, step.want)
			}
		}
		if err := <-wrote; err != nil {
			t.Errorf("Write(%q) = %v, want nil", step.in, err)
		}
	}
	_ = c.Close()
	_ = theirs.Close()
	<-sent
}
