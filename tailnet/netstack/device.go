package netstack

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"sync"

	"github.com/tailscale/wireguard-go/tun"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/stack/gro"
	"tailscale.com/net/packet"
	"tailscale.com/types/ipproto"
)

// readBatch is the most packets one Read gives: more than the largest packet of
// the stack has pieces.
const readBatch = 128

// errOffset reports a reader that leaves no room for the stamp.
var errOffset = errors.New("read offset is too small")

// Device returns the stack as the tun.Device of a WireGuard device, which closes
// it. Closing it closes the link, not the stack.
func (s *Stack) Device() tun.Device { return &tunDevice{stack: s, link: s.link} }

type tunDevice struct {
	stack *Stack
	link  *link
	flat  []byte // the packet being read; Read is never called concurrently

	joiners sync.Pool // of *gro.GRO that are free; each is some KiB
}

func (d *tunDevice) File() *os.File { return nil }

// MTU is what WireGuard pads to.
func (d *tunDevice) MTU() (int, error)        { return RelayMTU, nil }
func (d *tunDevice) Name() (string, error)    { return "netstack", nil }
func (d *tunDevice) Events() <-chan tun.Event { return d.link.events }
func (d *tunDevice) BatchSize() int           { return readBatch }

func (d *tunDevice) Close() error {
	d.link.close()
	d.stack.out.close()
	d.stack.in.close()
	return nil
}

// Read gives the pieces of the stack's next packet. All have one destination.
func (d *tunDevice) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	if offset < stampLen {
		return 0, errOffset
	}
	for {
		pkt, gso, err := d.next()
		if err != nil {
			return 0, err
		}
		if n := d.give(pkt, gso, bufs, sizes, offset); n > 0 {
			return n, nil
		}
	}
}

// next waits for a packet. It is valid until the next call.
func (d *tunDevice) next() ([]byte, stack.GSO, error) {
	select {
	case <-d.link.done:
		return nil, stack.GSO{}, os.ErrClosed
	case pkt := <-d.link.inject:
		return pkt, stack.GSO{}, nil
	case p := <-d.link.queue:
		defer p.DecRef()
		d.flat = d.flat[:0]
		for _, s := range p.AsSlices() {
			d.flat = append(d.flat, s...)
		}
		return d.flat, p.GSOOptions, nil
	}
}

// give cuts pkt into bufs, counts and stamps the pieces.
func (d *tunDevice) give(pkt []byte, gso stack.GSO, bufs [][]byte, sizes []int, offset int) int {
	dst, ok := destination(pkt)
	if !ok {
		d.stack.count.malformed.Add(1)
		return 0
	}
	p := d.stack.peer(dst)
	if p == nil {
		d.stack.count.noPeer.Add(1)
		return 0
	}
	n, err := cut(pkt, gso.NeedsCsum, p.segmentLimit(), bufs, sizes, offset)
	if err != nil {
		d.stack.count.malformed.Add(1)
		return 0
	}
	var first uint64
	if p.established.Load() {
		first = d.stack.out.enter(&p.out, n)
	}
	for i := range n {
		stamp := first
		if first != 0 {
			stamp += uint64(i)
		}
		if isProbe(pkt) {
			stamp |= probeMark
		}
		binary.LittleEndian.PutUint64(outStamp(bufs[i]), stamp)
	}
	return n
}

// Write delivers packets of one peer to the stack. It is called concurrently for
// several peers.
func (d *tunDevice) Write(bufs [][]byte, offset int) (int, error) {
	in := d.receive()
	var last netip.Addr
	var p packet.Parsed
	for _, b := range bufs {
		if !decode(&p, b[offset:]) {
			d.stack.count.malformed.Add(1)
			continue
		}
		last = p.Src.Addr()
		if p.IPProto == ipproto.TSMP {
			d.stack.handleTSMP(&p)
			continue
		}
		d.stack.noteMSS(&p)
		if in != nil {
			deliver(in, b[offset:])
		}
	}
	d.received(in)
	if peer := d.stack.peer(last); peer != nil {
		peer.written(bufs)
	}
	return len(bufs), nil
}

// receive returns what joins TCP segments of a batch into fewer ones on their way to
// the stack, nil if that is gone; received ends it.
func (d *tunDevice) receive() *gro.GRO {
	disp := d.link.dispatcher()
	if disp == nil {
		return nil
	}
	in, ok := d.joiners.Get().(*gro.GRO)
	if !ok {
		in = &gro.GRO{}
		in.Init(true)
	}
	in.Dispatcher = disp
	return in
}

func (d *tunDevice) received(in *gro.GRO) {
	if in != nil {
		in.Flush()
		in.Dispatcher = nil
		d.joiners.Put(in)
	}
}

// deliver gives a copy of pkt, whose buffer is WireGuard's, to the stack. Nobody
// looks at the checksum of TCP or UDP, which finds what a network did to a packet:
// WireGuard has authenticated all of it.
func deliver(in *gro.GRO, pkt []byte) {
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(pkt)})
	defer p.DecRef()
	p.NetworkProtocolNumber, p.RXChecksumValidated = header.IPv6ProtocolNumber, true
	in.Enqueue(p)
}

// decode reads the headers of pkt and reports whether they are those of a whole
// IPv6 packet. Upstream's receive path panics on some others.
func decode(p *packet.Parsed, pkt []byte) bool {
	if len(pkt) < ipv6HeaderLen || pkt[0]>>4 != 6 || int(binary.BigEndian.Uint16(pkt[4:])) != len(pkt)-ipv6HeaderLen {
		return false
	}
	p.Decode(pkt)
	return p.IPVersion == 6 && p.Src.Addr().Is6() && p.Dst.Addr().Is6()
}

// noteMSS learns from a SYN what its sender accepts.
func (s *Stack) noteMSS(p *packet.Parsed) {
	if p.IPProto != ipproto.TCP || p.TCPFlags&packet.TCPSyn == 0 {
		return
	}
	mss, ok := mssOf(p.Transport())
	if peer := s.peer(p.Src.Addr()); ok && peer != nil {
		peer.mss.Store(int32(mss))
	}
}
