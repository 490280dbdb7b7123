package tailnet

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tailscale/wireguard-go/device"

	"github.com/berthdev/berth/tailnet/netstack"
)

// width is the size of the largest WireGuard message that the direct path to a peer
// is known to carry, 0 while nothing is known. Some carry no packet of DirectMTU and
// do not say so: a tunnel of a provider on the way drops what is too large for it.
// Small packets and magicsock's pings pass, so that the path looks well while every
// transfer stands still. Others carry far more: loopback, and networks with large
// frames.
//
//	                a probe is answered        larger ones are
//	         +------------------------> wide ----------------> one of rungs
//	unknown -+                          |  ^                       |
//	    ^    |   only small ones are    |  +-----------------------+
//	    |    +---------> narrow <-------+    not any more, or sending fails
//	    |                  |
//	    +------------------+-- packets go to another address, from anywhere
//
// While it is unknown, some of what a narrow path would drop goes through the relay
// too, enough for a login; a path that is narrow is for small packets, and the
// relay for the others. Whether more is carried than a wide path must is looked at
// when many packets have been sent, and again and again while larger ones are. Each
// side finds out about its own direction.
type width int32

const (
	unknownWidth width = 0

	// narrow is the largest message that every path carries: what QUIC relies on
	// (RFC 9000 §14).
	narrow width = 1200

	// wide is the message of a packet of DirectMTU.
	wide width = netstack.DirectMTU + device.MessageTransportSize
)

const (
	// widthPatience is how long a large probe may be unanswered, and probeEvery
	// how often one is sent, with small ones: some are lost on any network.
	// enoughSmall is how many of those must be answered meanwhile.
	widthPatience = 1250 * time.Millisecond
	probeEvery    = 250 * time.Millisecond
	enoughSmall   = 3

	// maxCopies is how many large packets go both ways while the width is unknown:
	// their receiver drops one of the two, and holds back others while it has many
	// such in a row (netstack's gate).
	maxCopies = 48

	// widthTries is how often it is tried in a row to find out a width, and
	// widthPause the pause after one that came to nothing.
	widthTries = 10
	widthPause = time.Second

	// manyPackets is after how many large packets it is worth to look for a larger
	// size: a third of a megabyte, so not for a login. widenEvery is the pause after
	// a look that found none, or after one that found it gone.
	manyPackets = 256
	widenEvery  = 30 * time.Second

	// lookEvery is how old the last answer to the present size may be while packets
	// of it are sent. With widthPatience and the second that TCP may take to
	// repeat (netstack's maxRTO), what drops them silently costs three seconds.
	lookEvery = 500 * time.Millisecond
)

// rungMTUs are the packet sizes of networks that the route's own MTU does not tell
// of: WireGuard's default for its interfaces, that of Google's cloud, PPPoE (RFC
// 2516) and Ethernet; the largest of Google's cloud and large frames of Ethernet.
var rungMTUs = []int{1420, 1460, 1492, 1500, 8896, 9000}

// rungs are the sizes of messages that may be tried on a route of which the kernel
// says mtu (0: nothing), to a peer that accepts packets of that size; ascending.
func rungs(to netip.Addr, mtu, accepts int) []width {
	headers := 20 + 8 // IPv4 (RFC 791) without options and UDP
	if to.Unmap().Is6() {
		headers = 40 + 8 // RFC 8200
	}
	all := []width{narrow}
	if mtu == 0 || mtu >= int(wide)+headers {
		all = append(all, wide)
	}
	for _, m := range append(rungMTUs[:len(rungMTUs):len(rungMTUs)], mtu) {
		packet := min(m-headers-device.MessageTransportSize, accepts)
		packet -= packet % device.PaddingMultiple // WireGuard pads to it
		if w := width(packet + device.MessageTransportSize); m <= mtu && w > wide {
			all = append(all, w)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// trials are those of rungs that a look tries.
func (w width) trials(rungs []width) []width {
	if w == wide {
		return rungs
	}
	return slices.DeleteFunc(slices.Clone(rungs), func(r width) bool { return r > wide && r != w })
}

// packet is the size of a packet in the tunnel whose message has the size w.
func (w width) packet() int { return int(w) - device.MessageTransportSize }

// relayOnly reports whether a message must not go directly.
func (w width) relayOnly(size int) bool {
	if w == unknownWidth {
		w = wide
	}
	return size > int(w)
}

// relayToo reports whether a message that goes directly may not arrive so.
func (w width) relayToo(size int) bool { return w == unknownWidth && size > int(narrow) }

// verdict is what the answers to probes of sizes say. A path on which nothing arrives
// is not for us to mend.
func verdict(sizes []width, answers []int, astray bool) width {
	if astray {
		return unknownWidth
	}
	for i := len(sizes) - 1; i > 0; i-- {
		if answers[i] > 0 {
			return sizes[i]
		}
	}
	if answers[0] >= enoughSmall {
		return sizes[0]
	}
	return unknownWidth
}

// widthState is what is known of the present direct path, and whether somebody
// finds it out.
type widthState struct {
	now     atomic.Int32 // a width
	probing atomic.Bool
	copies  atomic.Int32  // large packets that went both ways
	astray  atomic.Uint64 // probes that went through a relay, and tell nothing
	many    atomic.Int32  // packets too large for a narrow path since the last look
	looked  atomic.Int64  // when that began, in Unix nanoseconds; 0 if there was none
}

func (w *widthState) load() width { return width(w.now.Load()) }

// isDue notes large messages that were sent directly, the largest of which has size
// bytes, and reports whether it is time for a look at what else may be.
func (w *widthState) isDue(now time.Time, large, size int) bool {
	many, age := w.many.Add(int32(large)), time.Duration(now.UnixNano()-w.looked.Load())
	switch present := w.load(); {
	case present > wide:
		return size > int(wide) && age >= lookEvery
	case present == wide:
		return many >= manyPackets && age >= widenEvery
	}
	return false
}

// begin notes the begin of a look that was due.
func (w *widthState) begin(now time.Time) {
	w.many.Store(0)
	w.looked.Store(now.UnixNano())
}

func (p *peer) setWidth(w width) {
	p.width.now.Store(int32(w))
	p.inside.SetDirectMTU(w.packet())
}

// sendFailed is called when messages could not be sent that a narrow path drops, the
// largest of size bytes. It reports whether the rest may be sent, once more: the
// kernel refuses a batch of messages that it would have to fragment.
func (n *Node) sendFailed(p *peer, size int) (again bool) {
	if size <= int(wide) {
		n.probe(p) // the kernel may know of the route by now that it is narrow
		return false
	}
	if w := p.width.load(); w > wide && p.width.now.CompareAndSwap(int32(w), int32(wide)) {
		p.inside.SetDirectMTU(wide.packet())
	}
	return true
}

// moved is called when packets go to another address than before. It does not
// block.
func (n *Node) moved(p *peer) {
	p.setWidth(unknownWidth)
	p.width.copies.Store(0)
	p.width.many.Store(0)
	p.width.looked.Store(0)
	n.probe(p)
}

// dataSize is the size of a message, 0 of one that finds out a path's width.
func dataSize(buf []byte, offset int) int {
	if netstack.IsProbe(buf, offset) {
		return 0
	}
	return len(buf) - offset
}

// largeOf counts those of bufs that a narrow path drops, and returns the size of
// the largest. Probes are not meant.
func largeOf(bufs [][]byte, offset int) (large, largest int) {
	for _, buf := range bufs {
		size := dataSize(buf, offset)
		largest = max(largest, size)
		if size > int(narrow) {
			large++
		}
	}
	return large, largest
}

// noteProbes notes probes among bufs, which took a path.
func (p *peer) noteProbes(bufs [][]byte, offset int, took path) {
	if !took.viaRelay() {
		return
	}
	for _, buf := range bufs {
		if netstack.IsProbe(buf, offset) {
			p.width.astray.Add(1)
		}
	}
}
