//go:build linux

package pty

import (
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/google/uuid"
)

// TestMalformedInputClosesTheConnection and only that one.
func TestMalformedInputClosesTheConnection(t *testing.T) {
	l := newLab(t, Config{})
	id := uuid.New()
	good := l.open(t, Init{ID: id})
	good.ready(t)
	first := fmt.Sprintf(`{"ID":%q,"Height":24,"Width":80}`, id)
	bad := []string{
		"\x02\x00[]", "\x05\x00{}{}}", "\x03\x00{}x",
		string([]byte{byte(len(first)), 0}) + first + `{"data":7}`,
		string([]byte{byte(len(first)), 0}) + first + "\xff\xff\xff",
	}
	for i, raw := range bad {
		conn, err := net.Dial("tcp", l.addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(raw)); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, conn) // until it is closed
		_ = conn.Close()
		eventually(t, "the count", func() bool { return l.Counters().Malformed == uint64(i+1) })
	}
	good.types(t, "echo still$((1))here\n")
	good.sees(t, "still1here")
}
