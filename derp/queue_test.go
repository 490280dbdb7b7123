package derp

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"

	"go4.org/mem"
	"tailscale.com/derp"
	"tailscale.com/types/key"
)

// packet is a frame to a client with a packet from a source named by a byte.
func packet(from byte, size int) []byte {
	frame := make([]byte, derp.FrameHeaderLen+derp.KeyLen+size)
	frame[0] = byte(derp.FrameRecvPacket)
	binary.BigEndian.PutUint32(frame[1:], uint32(derp.KeyLen+size))
	frame[derp.FrameHeaderLen] = from
	return frame
}

func sourceOf(frame []byte) byte {
	return frame[derp.FrameHeaderLen]
}

func push(t *testing.T, q *queue, frame []byte) (dropped int) {
	dropped, ok := q.push(frame)
	if !ok {
		t.Fatal("push = false, want room")
	}
	return dropped
}

func TestKeystrokeDoesNotWaitForADownload(t *testing.T) {
	var q queue
	for range 30 {
		push(t, &q, packet('g', 32000))
		push(t, &q, packet('h', 1280))
	}
	for keystroke := range 20 {
		push(t, &q, packet('k', 100))
		before := 0
		for frame := q.pop(); sourceOf(frame) != 'k'; frame = q.pop() {
			before += len(frame)
			push(t, &q, frame) // they never stop
		}
		if limit := 2 * (quantum + 33000); before > limit {
			t.Errorf("keystroke %d waited for %d bytes of 2 others, want at most %d", keystroke, before, limit)
		}
	}
}

func TestFlowsShareByBytes(t *testing.T) {
	var q queue
	sent := map[byte]int{}
	for range 2000 {
		for from, size := range map[byte]int{'a': 1280, 'b': 32000, 'c': 9000} {
			for f := q.flows[testSource(from)]; f == nil || f.bytes < 100_000; f = q.flows[testSource(from)] {
				push(t, &q, packet(from, size))
			}
		}
		frame := q.pop()
		sent[sourceOf(frame)] += len(frame)
	}
	for from, bytes := range sent {
		if share := float64(bytes) / float64(sent['a']); share < 0.9 || share > 1.1 {
			t.Errorf("flow %c got %.2f of what flow a got, want equal shares", from, share)
		}
	}
}

func TestQueueIsBounded(t *testing.T) {
	var q queue
	dropped := 0
	for range maxFlowPackets + 10 {
		dropped += push(t, &q, packet('a', 10))
	}
	if dropped != 10 {
		t.Errorf("dropped %d of %d small packets, want 10", dropped, maxFlowPackets+10)
	}
	for i := range 100 {
		push(t, &q, packet('b', 32000+i))
	}
	if q.bytes > 2*maxFlowBytes {
		t.Errorf("two flows hold %d bytes, want at most %d each", q.bytes, maxFlowBytes)
	}
	for from := range 20 {
		for range 40 {
			push(t, &q, packet(byte(from), 32000))
		}
	}
	if q.bytes > maxQueueBytes {
		t.Errorf("all flows hold %d bytes, want at most %d", q.bytes, maxQueueBytes)
	}
	if q.flows[testSource('a')].bytes == 0 {
		t.Error("the small flow lost its packets to the big ones")
	}
	for q.pop() != nil {
	}
	if q.bytes != 0 || len(q.flows) != 0 || len(q.fresh)+len(q.old) != 0 {
		t.Errorf("drained queue holds %d bytes, %d flows", q.bytes, len(q.flows))
	}
}

func testSource(from byte) key.NodePublic {
	raw := [32]byte{from}
	return key.NodePublicFromRaw32(mem.B(raw[:]))
}

func TestOldestPacketIsDropped(t *testing.T) {
	var q queue
	for i := range maxFlowPackets + 1 {
		frame := packet('a', 2)
		binary.BigEndian.PutUint16(frame[len(frame)-2:], uint16(i))
		push(t, &q, frame)
	}
	frame := q.pop()
	if got := binary.BigEndian.Uint16(frame[len(frame)-2:]); got != 1 {
		t.Errorf("first packet after an overflow is number %d, want 1", got)
	}
}

func TestControlFramesGoFirstAndAreBounded(t *testing.T) {
	var q queue
	push(t, &q, packet('a', 10))
	control := []byte{byte(derp.FrameKeepAlive), 0, 0, 0, 0}
	push(t, &q, control)
	if got := q.pop(); !bytes.Equal(got, control) {
		t.Errorf("pop = %x, want the control frame", got)
	}
	for range maxControl {
		push(t, &q, control)
	}
	if _, ok := q.push(control); ok {
		t.Errorf("push of control frame %d = true, want false", maxControl+1)
	}
}

func FuzzFramesAreCutWhereTheyEnd(f *testing.F) {
	f.Add([]byte("hello"), uint8(3), uint8(7))
	f.Add([]byte{}, uint8(1), uint8(1))
	f.Fuzz(func(t *testing.T, payload []byte, chunk, count uint8) {
		if len(payload) > derp.MaxPacketSize || chunk == 0 {
			return
		}
		var stream, want []byte
		for i := range count % 8 {
			frame := packet(i, len(payload))
			copy(frame[derp.FrameHeaderLen+derp.KeyLen:], payload)
			stream = append(stream, frame...)
		}
		near, far := net.Pipe()
		defer far.Close()
		c := newConn(near, new(counters))
		defer c.Close()
		want = bytes.Clone(stream)
		for len(stream) > 0 {
			n := min(int(chunk), len(stream))
			if _, err := c.Write(stream[:n]); err != nil {
				t.Fatalf("Write = %v", err)
			}
			stream = stream[n:]
		}
		var got []byte
		for frame := c.queue.pop(); frame != nil; frame = c.queue.pop() {
			if len(frame) != derp.FrameHeaderLen+derp.KeyLen+len(payload) {
				t.Fatalf("frame of %d bytes, want %d", len(frame), derp.FrameHeaderLen+derp.KeyLen+len(payload))
			}
			got = append(got, frame...)
		}
		if len(got) != len(want) {
			t.Errorf("%d bytes came out, want %d", len(got), len(want))
		}
	})
}
