package netstack

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/tailscale/wireguard-go/device"
	"github.com/tailscale/wireguard-go/replay"
)

// message is a transport message in a buffer of WireGuard's size.
func message(session uint32, counter uint64) []byte {
	buf := make([]byte, device.MaxMessageSize)
	binary.LittleEndian.PutUint32(buf, device.MessageTransportType)
	binary.LittleEndian.PutUint32(buf[device.MessageTransportOffsetReceiver:], session)
	binary.LittleEndian.PutUint64(buf[device.MessageTransportOffsetCounter:], counter)
	return buf
}

// TestDeliveredAgreesWithWireGuard takes in counters in many orders: what
// WireGuard's filter would take must pass, what it would not take must not.
func TestDeliveredAgreesWithWireGuard(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		var filter replay.Filter
		var d delivered
		top := uint64(0)
		for range 50_000 {
			counter := top - min(top, random.Uint64N(1<<random.Uint64N(15)))
			if random.IntN(3) == 0 {
				top += random.Uint64N(1 << random.Uint64N(15))
				counter = top
			}
			has := d.has(7, counter)
			if takes := filter.ValidateCounter(counter, 1<<62); takes == has {
				t.Fatalf("seed %d, newest %d: has(%d) = %t, but WireGuard takes it: %t", seed, top, counter, has, takes)
			}
			if !has {
				d.add([][]byte{message(7, counter)})
			}
		}
	}
}

func TestDeliveredOfTwoSessions(t *testing.T) {
	var d delivered
	d.add([][]byte{message(1, 10)})
	d.add([][]byte{message(2, 20), message(1, 11)})
	for _, tt := range []struct {
		session uint32
		counter uint64
		want    bool
	}{{1, 10, true}, {1, 11, true}, {1, 20, false}, {2, 20, true}, {2, 10, false}, {3, 10, false}} {
		if got := d.has(tt.session, tt.counter); got != tt.want {
			t.Errorf("has(%d, %d) = %t, want %t", tt.session, tt.counter, got, tt.want)
		}
	}
	d.add([][]byte{message(3, 1)}) // in the place of 2, which was used last but one
	if d.has(2, 20) || !d.has(1, 10) || !d.has(3, 1) {
		t.Error("after a third session, want the two that were used last remembered")
	}
}

// TestReplaysDoNotFillTheGate brings more messages again than the gate has room
// for, and then a new one.
func TestReplaysDoNotFillTheGate(t *testing.T) {
	const room = 4
	s := newStack(t, Config{InFlight: room})
	p := s.AddPeer(addrB)
	size := device.MessageTransportSize + ipv6HeaderLen
	for counter := range uint64(10 * room) {
		s.AwaitRoom()
		m := message(1, counter)
		if !p.Received(m, size) {
			t.Fatalf("Received(message %d) = false, want true: it is new", counter)
		}
		p.written([][]byte{m[:size]})
	}
	for counter := range uint64(10 * room) {
		s.AwaitRoom()
		if p.Received(message(1, counter), size) {
			t.Errorf("Received(message %d again) = true, want false", counter)
		}
	}
	if got := s.in.count(); got != 0 || s.Counters().GateReopened != 0 {
		t.Errorf("after replays %d packets count as inside WireGuard and the gate was reopened %d times, want 0 and 0", got, s.Counters().GateReopened)
	}
}
