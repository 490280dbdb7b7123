package wire

import (
	"storj.io/drpc"
	"storj.io/drpc/drpcwire"
)

// maxFrameHeader is the size of the longest header of a dRPC frame, in bytes:
// one and three varints.
const maxFrameHeader = 1 + 3*9

// packets joins the dRPC frames of one call to packets.
type packets struct {
	raw  []byte          // of a frame that has not come whole
	next drpcwire.ID     // the lowest id that the next frame may have; 0.0 is 1.1
	part drpcwire.Packet // the packet that has begun, if its id is not zero
}

// size is how many bytes are held for what has not come whole.
func (p *packets) size() int { return cap(p.raw) + cap(p.part.Data) }

// room returns n bytes to read into, which take parses then.
func (p *packets) room(n int) []byte {
	old := len(p.raw)
	if cap(p.raw)-old < n {
		grown := make([]byte, old, old+max(n, min(old, MaxMessage)))
		copy(grown, p.raw)
		p.raw = grown
	}
	p.raw = p.raw[:old+n]
	return p.raw[old:]
}

// take calls each for the packets that are whole now. They are each's to keep.
func (p *packets) take(each func(drpcwire.Packet) error) error {
	rest := p.raw
	for {
		after, frame, whole, err := drpcwire.ParseFrame(rest)
		if err != nil {
			return err
		}
		if !whole {
			break
		}
		rest = after
		done, err := p.add(frame)
		if err != nil {
			return err
		}
		if !done {
			continue
		}
		pkt := p.part
		p.part = drpcwire.Packet{}
		if err := each(pkt); err != nil {
			return err
		}
	}
	if len(rest) > MaxMessage+maxFrameHeader {
		return drpc.ProtocolError.New("frame over %d bytes", MaxMessage)
	}
	switch {
	case len(rest) == 0:
		p.raw = nil
	case len(rest) < len(p.raw):
		p.raw = append([]byte(nil), rest...)
	}
	return nil
}

// add adds a frame to the packet that has begun and reports whether it is
// whole. A frame of a later packet drops that one.
func (p *packets) add(f drpcwire.Frame) (whole bool, err error) {
	if p.next.Stream == 0 {
		p.next = drpcwire.ID{Stream: 1, Message: 1}
	}
	switch {
	case f.ID.Less(p.next):
		return false, drpc.ProtocolError.New("frame %v after %v", f.ID, p.next)
	case f.ID != p.part.ID:
		p.part = drpcwire.Packet{ID: f.ID, Kind: f.Kind}
	case f.Kind != p.part.Kind:
		return false, drpc.ProtocolError.New("packet of two kinds, %v and %v", p.part.Kind, f.Kind)
	}
	if len(p.part.Data)+len(f.Data) > MaxMessage {
		return false, drpc.ProtocolError.New("message over %d bytes", MaxMessage)
	}
	p.next = f.ID
	p.part.Control = p.part.Control || f.Control
	p.part.Data = append(p.part.Data, f.Data...)
	if f.Done {
		p.next.Message++
	}
	return f.Done, nil
}
