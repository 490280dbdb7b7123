package resume

import (
	"bufio"
	"io"
	"net"
	"sync"
)

// Connections are read in pieces of readSize, unless a frame asks for more.
const readSize = 32 << 10

// attach gives the stream its next connection, on which the other side has
// received so much already. It takes the one before away and waits until that
// is done.
func (s *Stream) attach(raw net.Conn, received uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.raw != nil {
		before := s.idle
		_ = s.raw.Close()
		s.mu.Unlock()
		<-before
		s.mu.Lock()
	}
	if s.over {
		return s.reasonLocked()
	}
	if received < s.out.head || received > s.most {
		s.finishLocked(errProtocol)
		return errProtocol
	}
	s.raw, s.idle, s.sent = raw, make(chan struct{}), received
	s.told = 0 // the other side learns it again with the next frame
	return nil
}

// carry moves frames over the connection that attach was given until it breaks
// or the stream is over, and closes it. begin, if any, reads what precedes the
// frames.
func (s *Stream) carry(raw net.Conn, in *bufio.Reader, begin func(io.Reader) error) error {
	var writing sync.WaitGroup
	writing.Go(func() {
		if err := s.writeFrames(raw); err != nil {
			_ = raw.Close()
		}
	})
	var err error
	if begin != nil {
		err = begin(in)
	}
	for err == nil {
		err = s.readFrame(in)
	}
	_ = raw.Close()
	s.mu.Lock()
	idle := s.idle
	s.raw = nil
	if s.endSent {
		s.finishLocked(nil)
	}
	s.work.Broadcast()
	s.mu.Unlock()
	writing.Wait()
	close(idle)
	return err
}

// readFrame takes one frame in. An error of the protocol ends the stream.
func (s *Stream) readFrame(in *bufio.Reader) error {
	var b [headerSize]byte
	h, err := readHeader(in, b[:])
	if err != nil {
		return err
	}
	parts, err := s.begun(h)
	if err != nil {
		s.finish(err)
		return err
	}
	for _, part := range parts {
		if _, err := io.ReadFull(in, part); err != nil {
			return err
		}
	}
	return s.arrived(h)
}

// begun notes a header and returns where its payload goes.
func (s *Stream) begun(h header) (parts [2][]byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.takeLocked(h.taken); err != nil {
		return parts, err
	}
	if h.kind != frameData {
		return parts, nil
	}
	if s.inFin || s.in.len()+h.length > Window {
		return parts, errProtocol
	}
	parts[0], parts[1] = s.in.reserve(h.length)
	return parts, nil
}

// arrived makes a frame part of the stream.
func (s *Stream) arrived(h header) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch h.kind {
	case frameData:
		s.in.put(h.length)
	case frameFin:
		s.inFin = true
	case frameEnd:
		s.inFin = true
		s.finishLocked(nil)
		return net.ErrClosed
	}
	if s.closed {
		s.in.drop(s.in.tail)
	}
	if s.ackDueLocked() || s.finGone {
		s.work.Signal()
	}
	s.readable.Signal()
	return nil
}

// writeFrames sends what there is until the connection or the stream ends. It
// leaves it to the other side to hang up after an end: a connection that is
// closed with something unread drops what is still on its way.
func (s *Stream) writeFrames(raw net.Conn) error {
	buf := make([]byte, 0, headerSize+smallestRing)
	for {
		var last bool
		buf, last = s.nextFrame(raw, buf)
		if len(buf) > 0 {
			if _, err := raw.Write(buf); err != nil {
				return err
			}
		}
		if last {
			s.sentEnd()
			return nil
		}
	}
}

// sentEnd notes that an end was written, if one was.
func (s *Stream) sentEnd() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.endSent {
		s.endOnce.Do(func() { close(s.endGone) })
	}
}

// nextFrame waits for something to send and puts it into buf. After the last
// frame, or when it is empty, there is nothing more to send here.
func (s *Stream) nextFrame(raw net.Conn, buf []byte) (frame []byte, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.raw != raw || s.over:
			return buf[:0], true
		case s.sent < s.out.tail:
			return s.dataLocked(buf), false
		case s.outFin && s.sent == s.out.tail && !s.finGone:
			s.sent++
			s.most = max(s.most, s.sent)
			return s.frameLocked(buf, frameFin), false
		case s.hangUp || s.closed && s.finGone:
			s.endSent = true
			return s.frameLocked(buf, frameEnd), true
		case s.ackDueLocked():
			return s.frameLocked(buf, frameAck), false
		}
		s.work.Wait()
	}
}

func (s *Stream) dataLocked(buf []byte) []byte {
	n := int(min(s.out.tail-s.sent, maxPayload))
	if need := headerSize + n; cap(buf) < need {
		buf = make([]byte, 0, headerSize+maxPayload)
	}
	buf = buf[:headerSize+n]
	s.header(frameData, n).put(buf)
	s.out.copyFrom(buf[headerSize:], s.sent)
	s.sent += uint64(n)
	s.most = max(s.most, s.sent)
	return buf
}

func (s *Stream) frameLocked(buf []byte, kind byte) []byte {
	buf = buf[:headerSize]
	s.header(kind, 0).put(buf)
	return buf
}

func (s *Stream) header(kind byte, n int) header {
	s.told = s.takenLocked()
	return header{kind: kind, length: n, taken: s.told}
}
