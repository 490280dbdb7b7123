package derp

import (
	"encoding/binary"

	"tailscale.com/derp"
	"tailscale.com/types/key"
)

const (
	// maxFlowPackets and maxFlowBytes bound what waits for a client from one
	// source; 512 packets is what Coder's relay keeps. 1 MiB is 32 packets of
	// 32 KiB, enough for 1 Gbit/s at 8 ms.
	maxFlowPackets = 512
	maxFlowBytes   = 1 << 20
	// maxQueueBytes bounds what waits for a client from all sources.
	maxQueueBytes = 8 << 20
	// maxControl bounds the frames that are not packets. Few ever wait.
	maxControl = 4096
	// quantum is what a source may send before the next one's turn: half of
	// the largest packet, 3 ms at 100 Mbit/s.
	quantum = 32 << 10
)

// queue holds the frames that wait to be written to one client, each source in
// its own flow. Flows take turns by bytes (deficit round robin), and one that
// has just begun goes first, as in RFC 8290: a keystroke waits for the frame
// that is being written, not for somebody's download. When a bound is reached
// the oldest packet goes, of the flow that has the most.
type queue struct {
	control    [][]byte
	flows      map[key.NodePublic]*flow
	fresh, old []*flow
	bytes      int
}

type flow struct {
	source  key.NodePublic
	frames  [][]byte
	bytes   int
	deficit int
}

// source returns who a frame is from if it carries a packet.
func source(frame []byte) (src key.NodePublic, ok bool) {
	if derp.FrameType(frame[0]) != derp.FrameRecvPacket || len(frame) < derp.FrameHeaderLen+derp.KeyLen {
		return src, false
	}
	return publicKey(frame[derp.FrameHeaderLen:]), true
}

// push adds a frame, header included, which it keeps. It returns how many
// packets it dropped, and false if there are too many frames of other kinds.
func (q *queue) push(frame []byte) (dropped int, ok bool) {
	src, ok := source(frame)
	if !ok {
		q.control = append(q.control, frame)
		return 0, len(q.control) <= maxControl
	}
	f := q.flows[src]
	if f == nil {
		if q.flows == nil {
			q.flows = map[key.NodePublic]*flow{}
		}
		f = &flow{source: src, deficit: quantum}
		q.flows[src] = f
		q.fresh = append(q.fresh, f)
	}
	f.frames = append(f.frames, frame)
	f.bytes += len(frame)
	q.bytes += len(frame)
	for len(f.frames) > maxFlowPackets || f.bytes > maxFlowBytes {
		q.take(f)
		dropped++
	}
	for q.bytes > maxQueueBytes {
		q.take(q.longest())
		dropped++
	}
	return dropped, true
}

// pop returns the next frame to write; nil if there is none.
func (q *queue) pop() []byte {
	if len(q.control) > 0 {
		frame := q.control[0]
		q.control = q.control[1:]
		return frame
	}
	for {
		list := &q.old
		if len(q.fresh) > 0 {
			list = &q.fresh
		}
		if len(*list) == 0 {
			return nil
		}
		f := (*list)[0]
		switch {
		case f.deficit <= 0:
			f.deficit += quantum
			q.rest(list)
		case len(f.frames) > 0:
			frame := q.take(f)
			f.deficit -= len(frame)
			return frame
		case list == &q.fresh && len(q.old) > 0:
			q.rest(list) // must not be fresh again before the others had a turn
		default:
			*list = (*list)[1:]
			delete(q.flows, f.source)
		}
	}
}

// rest moves the first flow of a list to the end of the old ones.
func (q *queue) rest(list *[]*flow) {
	f := (*list)[0]
	*list = (*list)[1:]
	q.old = append(q.old, f)
}

// take removes the oldest frame of a flow.
func (q *queue) take(f *flow) []byte {
	frame := f.frames[0]
	f.frames[0] = nil
	f.frames = f.frames[1:]
	f.bytes -= len(frame)
	q.bytes -= len(frame)
	return frame
}

func (q *queue) longest() (longest *flow) {
	for _, f := range q.flows {
		if longest == nil || f.bytes > longest.bytes {
			longest = f
		}
	}
	return longest
}

// frameLen returns the length of a frame with its header.
func frameLen(header []byte) int {
	return derp.FrameHeaderLen + int(binary.BigEndian.Uint32(header[1:derp.FrameHeaderLen]))
}
