package netstack

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/tailscale/wireguard-go/tun"
)

const (
	ipv6HeaderLen = 40
	tcpHeaderLen  = 20 // without options

	nextHeaderAt   = 6
	fragmentHeader = 44 // RFC 8200 §4.5

	tcpProtocol       = 6
	tcpFlagsAt        = 13
	tcpSYN            = 0x02
	tcpChecksumOffset = 16

	tcpOptionEnd, tcpOptionNOP, tcpOptionMSS = 0, 1, 2

	// announcedMSS is in our own SYNs, in place of that of the stack's MTU.
	announcedMSS = RelayMTU - ipv6HeaderLen - tcpHeaderLen
)

var errShort = errors.New("packet is shorter than its headers")

// destination returns where an IPv6 packet goes.
func destination(pkt []byte) (netip.Addr, bool) {
	if len(pkt) < ipv6HeaderLen || pkt[0]>>4 != 6 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom16([16]byte(pkt[24:40])), true
}

// cut writes pkt, made by our stack, into bufs at offset and returns how many it
// took. A TCP packet whose payload and options exceed limit is cut into
// segments of equal sequence space; partial says that its checksum covers only
// the pseudo header. A SYN gets our announced MSS.
func cut(pkt []byte, partial bool, limit int, bufs [][]byte, sizes []int, offset int) (int, error) {
	if pkt[nextHeaderAt] != tcpProtocol {
		sizes[0] = copy(bufs[0][offset:], pkt)
		return 1, nil
	}
	if len(pkt) < ipv6HeaderLen+tcpHeaderLen {
		return 0, errShort
	}
	tcp := pkt[ipv6HeaderLen:]
	tcpLen := int(tcp[12]>>4) * 4
	if tcpLen < tcpHeaderLen || tcpLen > len(tcp) {
		return 0, errShort
	}
	if tcp[tcpFlagsAt]&tcpSYN != 0 && announce(tcp[tcpHeaderLen:tcpLen]) {
		sum(pkt)
		partial = false
	}
	payload := len(tcp) - tcpLen
	limit -= tcpLen - tcpHeaderLen
	o := tun.GSOOptions{
		HdrLen: uint16(ipv6HeaderLen + tcpLen), CsumStart: ipv6HeaderLen, CsumOffset: tcpChecksumOffset, NeedsCsum: partial,
	}
	switch {
	case payload > limit:
		o.GSOType, o.GSOSize = tun.GSOTCPv6, uint16(limit)
	case !partial:
		sizes[0] = copy(bufs[0][offset:], pkt)
		return 1, nil
	}
	return tun.GSOSplit(pkt, o, bufs, sizes, offset)
}

// announce puts our MSS into the options of a SYN and reports whether it has
// the option.
func announce(options []byte) bool {
	at := mssAt(options)
	if at < 0 {
		return false
	}
	binary.BigEndian.PutUint16(options[at:], announcedMSS)
	return true
}

// mssOf returns the MSS announced in a TCP segment.
func mssOf(tcp []byte) (uint16, bool) {
	if len(tcp) < tcpHeaderLen {
		return 0, false
	}
	tcpLen := int(tcp[12]>>4) * 4
	if tcpLen < tcpHeaderLen || tcpLen > len(tcp) {
		return 0, false
	}
	options := tcp[tcpHeaderLen:tcpLen]
	at := mssAt(options)
	if at < 0 {
		return 0, false
	}
	return binary.BigEndian.Uint16(options[at:]), true
}

// mssAt returns the place of the MSS's value in TCP options, -1 if there is none.
func mssAt(options []byte) int {
	for i := 0; i < len(options); {
		switch options[i] {
		case tcpOptionEnd:
			return -1
		case tcpOptionNOP:
			i++
			continue
		}
		if i+1 >= len(options) || options[i+1] < 2 || i+int(options[i+1]) > len(options) {
			return -1
		}
		if options[i] == tcpOptionMSS && options[i+1] == 4 {
			return i + 2
		}
		i += int(options[i+1])
	}
	return -1
}

// sum writes the checksum of a whole TCP packet.
func sum(pkt []byte) {
	tcp := pkt[ipv6HeaderLen:]
	tcp[tcpChecksumOffset], tcp[tcpChecksumOffset+1] = 0, 0
	pseudo := tun.PseudoHeaderChecksum(tcpProtocol, pkt[8:24], pkt[24:40], uint16(len(tcp)))
	binary.BigEndian.PutUint16(tcp[tcpChecksumOffset:], ^tun.Checksum(tcp, pseudo))
}
