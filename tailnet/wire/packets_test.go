package wire

import (
	"bytes"
	"io"
	"testing"

	"storj.io/drpc/drpcwire"
)

// FuzzPackets compares packets with the reader of the library.
func FuzzPackets(f *testing.F) {
	good := drpcwire.AppendFrame(nil, packet(1, drpcwire.KindInvoke, []byte("rpc")))
	part := drpcwire.Frame{ID: drpcwire.ID{Stream: 1, Message: 2}, Kind: drpcwire.KindMessage, Data: []byte("first ")}
	good = drpcwire.AppendFrame(good, part)
	part.Data, part.Done = []byte("second"), true
	f.Add(drpcwire.AppendFrame(good, part), uint8(3))
	f.Add(drpcwire.AppendFrame(drpcwire.AppendFrame(nil, packet(2, drpcwire.KindMessage, nil)), packet(1, drpcwire.KindMessage, nil)), uint8(1))
	f.Add([]byte{5, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, uint8(200))
	f.Fuzz(func(t *testing.T, raw []byte, step uint8) {
		var got []drpcwire.Packet
		var p packets
		var gotErr error
		for rest := raw; len(rest) > 0 && gotErr == nil; {
			n := min(len(rest), int(step)+1)
			copy(p.room(n), rest)
			rest = rest[n:]
			gotErr = p.take(func(pkt drpcwire.Packet) error {
				got = append(got, pkt)
				return nil
			})
		}
		reader := drpcwire.NewReader(bytes.NewReader(raw))
		for i := 0; ; i++ {
			want, err := reader.ReadPacket()
			if err != nil {
				if i != len(got) || (err == io.EOF) != (gotErr == nil) {
					t.Errorf("%x: %d packets, then %v; want %d, then %v", raw, len(got), gotErr, i, err)
				}
				return
			}
			if i >= len(got) {
				t.Fatalf("%x: packet %d is missing (%v), want %v", raw, i, gotErr, want)
			}
			if g := got[i]; g.ID != want.ID || g.Kind != want.Kind || g.Control != want.Control || !bytes.Equal(g.Data, want.Data) {
				t.Errorf("%x: packet %d = %v, want %v", raw, i, g, want)
			}
		}
	})
}

func TestPacketsHoldNothingBetweenMessages(t *testing.T) {
	var p packets
	raw := drpcwire.AppendFrame(nil, packet(1, drpcwire.KindMessage, make([]byte, 100_000)))
	for rest := raw; len(rest) > 0; {
		n := min(len(rest), 1000)
		copy(p.room(n), rest)
		rest = rest[n:]
		if err := p.take(func(drpcwire.Packet) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if p.size() != 0 {
		t.Errorf("%d bytes are held after a whole message", p.size())
	}
}
