package netstack

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/tailscale/wireguard-go/device"
	"github.com/tailscale/wireguard-go/tun"
)

const testOffset = device.MessageEncapsulatingTransportSize + device.MessageTransportHeaderSize

func testBuffers() ([][]byte, []int) {
	bufs := make([][]byte, readBatch)
	for i := range bufs {
		bufs[i] = make([]byte, device.MaxMessageSize)
	}
	return bufs, make([]int, readBatch)
}

// tcpPacket makes a TCP packet with a right checksum.
func tcpPacket(flags byte, options, payload []byte) []byte {
	tcpLen := tcpHeaderLen + len(options)
	pkt := make([]byte, ipv6HeaderLen+tcpLen, ipv6HeaderLen+tcpLen+len(payload))
	pkt[0], pkt[6], pkt[7] = 0x60, tcpProtocol, 64
	pkt[8], pkt[23], pkt[24], pkt[39] = 0xfd, 1, 0xfd, 2
	tcp := pkt[ipv6HeaderLen:]
	binary.BigEndian.PutUint32(tcp[4:], 0xfffffff0) // wraps within the packet
	tcp[12] = byte(tcpLen/4) << 4
	tcp[tcpFlagsAt] = flags
	copy(tcp[tcpHeaderLen:], options)
	pkt = append(pkt, payload...)
	binary.BigEndian.PutUint16(pkt[4:], uint16(len(pkt)-ipv6HeaderLen))
	sum(pkt)
	return pkt
}

func sumIsRight(pkt []byte) bool {
	tcp := pkt[ipv6HeaderLen:]
	pseudo := tun.PseudoHeaderChecksum(tcpProtocol, pkt[8:24], pkt[24:40], uint16(len(tcp)))
	return ^tun.Checksum(tcp, pseudo) == 0
}

func TestCutKeepsTheStream(t *testing.T) {
	timestamp := []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}
	payload := make([]byte, 60000)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	const push, ack = 0x08, 0x10
	for _, tt := range []struct {
		name          string
		limit, pieces int
	}{
		{"direct", DirectMTU - 60, 50},
		{"relay", RelayMTU - 60, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bufs, sizes := testBuffers()
			pkt := tcpPacket(push|ack, timestamp, payload)
			n, err := cut(pkt, false, tt.limit, bufs, sizes, testOffset)
			if err != nil || n != tt.pieces {
				t.Fatalf("cut = %d, %v, want %d pieces", n, err, tt.pieces)
			}
			var got []byte
			for i := range n {
				p := bufs[i][testOffset : testOffset+sizes[i]]
				if len(p) > tt.limit+60 {
					t.Errorf("piece %d has %d bytes, want at most %d", i, len(p), tt.limit+60)
				}
				if !sumIsRight(p) {
					t.Errorf("piece %d has a wrong checksum", i)
				}
				if seq := binary.BigEndian.Uint32(p[ipv6HeaderLen+4:]); seq != 0xfffffff0+uint32(len(got)) {
					t.Errorf("piece %d begins at %x, want %x", i, seq, 0xfffffff0+uint32(len(got)))
				}
				if last := i == n-1; p[ipv6HeaderLen+tcpFlagsAt]&push != 0 != last {
					t.Errorf("piece %d: PSH set = %v, want %v", i, !last, last)
				}
				got = append(got, p[ipv6HeaderLen+tcpHeaderLen+len(timestamp):]...)
			}
			if !bytes.Equal(got, payload) {
				t.Error("the pieces' payload differs from the packet's")
			}
		})
	}
}

func TestCutAnnouncesTheRelayMSS(t *testing.T) {
	bufs, sizes := testBuffers()
	pkt := tcpPacket(tcpSYN, []byte{tcpOptionNOP, tcpOptionNOP, tcpOptionMSS, 4, 4, 196, tcpOptionEnd, 0}, nil)
	n, err := cut(pkt, false, 1220, bufs, sizes, testOffset)
	if err != nil || n != 1 {
		t.Fatalf("cut(SYN) = %d, %v, want 1", n, err)
	}
	out := bufs[0][testOffset : testOffset+sizes[0]]
	if got, ok := mssOf(out[ipv6HeaderLen:]); !ok || got != announcedMSS {
		t.Errorf("MSS of the SYN = %d, %v, want %d", got, ok, announcedMSS)
	}
	if !sumIsRight(out) {
		t.Error("the SYN has a wrong checksum")
	}
}

func TestSegmentLimit(t *testing.T) {
	const direct, relay = DirectMTU - 60, RelayMTU - 60
	for _, tt := range []struct {
		name    string
		relayed bool
		carries int // the direct path
		mss     int32
		want    int
	}{
		{"nothing known", false, 0, 0, direct},
		{"relayed, nothing announced", true, 0, 0, direct},
		{"relayed, another implementation", true, 0, 1220, direct},
		{"relayed, ours", true, 0, announcedMSS, relay},
		{"relayed, announces nonsense", true, 0, 65535, relay},
		{"direct, ours", false, 0, announcedMSS, direct},
		{"a direct path that carries less", false, 1168, announcedMSS, direct},
		{"a direct path that carries more", false, 8912, announcedMSS, 8912 - 60},
		{"it does, another implementation", false, 8912, 1220, direct},
		{"it does, a small one of ours", false, 8912, 1900, 1900},
		{"it does, but the relay is used", true, 8912, announcedMSS, relay},
	} {
		var p Peer
		p.relayed.Store(tt.relayed)
		p.SetDirectMTU(tt.carries)
		p.mss.Store(tt.mss)
		if got := p.segmentLimit(); got != tt.want {
			t.Errorf("%s: segmentLimit() = %d, want %d", tt.name, got, tt.want)
		}
	}
}

func FuzzMSS(f *testing.F) {
	f.Add([]byte{tcpOptionNOP, tcpOptionMSS, 4, 4, 196})
	f.Add([]byte{3, 0, 2, 4})
	f.Fuzz(func(t *testing.T, options []byte) {
		if at := mssAt(options); at >= 0 && at+2 > len(options) {
			t.Errorf("mssAt(%x) = %d, beyond the options", options, at)
		}
		mssOf(options)
	})
}

func FuzzDeviceWrite(f *testing.F) {
	f.Add(tcpPacket(tcpSYN, []byte{tcpOptionMSS, 4, 4, 196}, nil))
	f.Add(tcpPacket(0, nil, []byte("payload")))
	s := newStack(f, Config{})
	dev := s.Device()
	f.Fuzz(func(t *testing.T, pkt []byte) {
		if len(pkt) > 60000 {
			return
		}
		buf := make([]byte, device.MaxMessageSize)
		copy(buf[device.MessageTransportOffsetContent:], pkt)
		if _, err := dev.Write([][]byte{buf[:device.MessageTransportOffsetContent+len(pkt)]}, device.MessageTransportOffsetContent); err != nil {
			t.Errorf("Write(%x) = %v, want nil", pkt, err)
		}
	})
}
