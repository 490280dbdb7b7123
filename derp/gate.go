package derp

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net/netip"
	"slices"
	"time"

	"tailscale.com/derp"
	"tailscale.com/types/key"
)

const (
	packetHeader = derp.FrameHeaderLen + derp.KeyLen
	maxPacket    = derp.KeyLen + derp.MaxPacketSize // in a frame's length
)

// gate is what derpserver reads of a client. It does two things upstream has no
// place for. It holds the first frame back until the client is admitted:
// upstream can only ask a URL, and waits 5 s at most. And it puts a packet for a
// client of this relay straight into that client's queue: upstream would pass it
// through a queue of 32 packets that knows no fairness. The first packet from
// each source goes through upstream nevertheless, which so learns whom to tell
// when the source is gone, and so do packets for clients elsewhere and all
// other frames.
type gate struct {
	r    *Relay
	c    *conn
	ctx  context.Context // of the request
	from netip.AddrPort
	br   *bufio.Reader
	node key.NodePublic // zero before the client was admitted

	pending []byte // read already, for derpserver
	through int    // bytes of the frame that follow and are for derpserver
}

func (g *gate) Read(p []byte) (int, error) {
	if g.node.IsZero() {
		if err := g.admit(); err != nil {
			return 0, err
		}
	}
	for len(g.pending) == 0 && g.through == 0 {
		if err := g.next(); err != nil {
			return 0, err
		}
	}
	if len(g.pending) > 0 {
		n := copy(p, g.pending)
		g.pending = g.pending[n:]
		return n, nil
	}
	n, err := g.br.Read(p[:min(len(p), g.through)])
	g.through -= n
	return n, err
}

// admit reads the client's first frame and asks whether it may connect.
func (g *gate) admit() error {
	frame, err := readClientInfo(g.br)
	if err != nil {
		g.r.stats.garbage.Add(1)
		return err
	}
	node, info, err := openClientInfo(g.r.keys.Node, frame)
	if err != nil {
		g.r.stats.garbage.Add(1)
		return err
	}
	if err := g.ask(node, info); err != nil {
		g.r.stats.refused.Add(1)
		g.r.log.Debug("relay refused a client", "node", node.ShortString(), "from", g.from, "err", err)
		return err
	}
	g.node, g.pending = node, frame
	g.r.stats.accepted.Add(1)
	return nil
}

// next reads the next frame: a packet for a client here is relayed, of another
// frame the beginning becomes pending.
func (g *gate) next() error {
	head := make([]byte, derp.FrameHeaderLen, packetHeader)
	if _, err := io.ReadFull(g.br, head); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head[1:])
	if derp.FrameType(head[0]) != derp.FrameSendPacket || size < derp.KeyLen || size > maxPacket {
		g.pending, g.through = head, int(size)
		return nil
	}
	head = head[:packetHeader]
	if _, err := io.ReadFull(g.br, head[derp.FrameHeaderLen:]); err != nil {
		return err
	}
	rest := int(size) - derp.KeyLen
	dst := publicKey(head[derp.FrameHeaderLen:])
	to := g.r.clients.of(dst)
	if to != nil && to.knows(g.node) {
		return g.relay(to, head, rest)
	}
	g.pending, g.through = head, rest
	if to == nil && rest <= heldBytes {
		return g.hold(dst)
	}
	return nil
}

// hold keeps a copy of the packet that begins with pending for dst. derpserver
// gets the packet too, and tells the client that dst is not here.
func (g *gate) hold(dst key.NodePublic) error {
	frame := make([]byte, packetHeader+g.through)
	copy(frame, g.pending)
	if _, err := io.ReadFull(g.br, frame[packetHeader:]); err != nil {
		return err
	}
	g.pending, g.through = frame, 0
	g.r.clients.hold(dst, g.received(slices.Clone(frame)), time.Now())
	return nil
}

// received turns the frame of a packet from this client into that for its
// destination: it differs in the type, and has the source where the destination
// was.
func (g *gate) received(frame []byte) []byte {
	frame[0] = byte(derp.FrameRecvPacket)
	g.node.AppendTo(frame[:derp.FrameHeaderLen])
	return frame
}

// relay reads the rest of a packet and queues it for a client.
func (g *gate) relay(to *conn, head []byte, rest int) error {
	frame := make([]byte, packetHeader+rest)
	copy(frame, head)
	if _, err := io.ReadFull(g.br, frame[packetHeader:]); err != nil {
		return err
	}
	frame = g.received(frame)
	g.r.stats.packetsIn.Add(1)
	g.r.stats.bytesIn.Add(uint64(rest))
	if to.put(frame) != nil {
		g.r.stats.droppedWrite.Add(1) // its end is on the way to us
	}
	return nil
}
