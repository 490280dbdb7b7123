package wire

import (
	"time"

	"storj.io/drpc"
	"storj.io/drpc/drpcwire"
)

// MsgRecv waits for a message. After the last one it returns io.EOF, or why the
// call ended.
func (c *Call) MsgRecv(msg drpc.Message, enc drpc.Encoding) error {
	raw, err := c.receive()
	if err != nil {
		return err
	}
	return enc.Unmarshal(raw, msg)
}

func (c *Call) receive() ([]byte, error) {
	c.mu.Lock()
	for len(c.queue) == 0 && c.recvErr == nil {
		c.changed.Wait()
	}
	if len(c.queue) == 0 {
		defer c.mu.Unlock()
		return nil, c.recvErr
	}
	raw := c.queue[0]
	c.queue[0] = nil
	if c.queue = c.queue[1:]; len(c.queue) == 0 {
		c.queue = nil
	}
	c.held -= len(raw) + messageCost
	c.countLocked()
	c.mu.Unlock()
	return raw, c.grant()
}

// grant lets the caller send more, as far as what it has sent is read. Messages
// that have not come whole do not count: they must come to be read.
func (c *Call) grant() error {
	c.mu.Lock()
	more := firstWindow - min(c.held, firstWindow) - int(c.window)
	if more < firstWindow/2 || c.gone {
		c.mu.Unlock()
		return nil
	}
	c.window += uint32(more)
	c.mu.Unlock()
	return c.s.write(header{kind: typeWindow, id: c.id, length: uint32(more)})
}

// MsgSend returns when the message is written. A caller that does not read for
// 30 s ends its call.
func (c *Call) MsgSend(msg drpc.Message, enc drpc.Encoding) error {
	raw, err := enc.Marshal(msg)
	if err != nil {
		return err
	}
	return c.send(drpcwire.KindMessage, raw, nil)
}

// CloseSend ends the answer; the caller may go on. To a call that lingers it
// does nothing: the dispatcher says so when the handler has returned.
func (c *Call) CloseSend() error {
	c.mu.Lock()
	ended := c.lingers || c.sendErr != nil
	c.mu.Unlock()
	if ended {
		return nil
	}
	err := c.send(drpcwire.KindCloseSend, nil, errSendClosed)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.recvErr != nil {
		c.terminateLocked(c.recvErr)
	}
	return err
}

// Close ends the call. What the caller has sent and nobody received is dropped.
func (c *Call) Close() error {
	err := c.send(drpcwire.KindClose, nil, errSendClosed)
	c.mu.Lock()
	defer c.mu.Unlock()
	ended := c.terminated
	c.queue, c.held = nil, 0
	c.countLocked()
	c.terminateLocked(errSendClosed)
	if ended {
		return nil
	}
	return err
}

// send sends a packet, if the answer has not ended. last, if there is one, ends
// it with this packet.
func (c *Call) send(kind drpcwire.Kind, data []byte, last error) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	c.mu.Lock()
	err := c.sendErr
	if err == nil && last != nil {
		c.sendErr = last
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	c.sent.Message++
	for f := (drpcwire.Frame{ID: c.sent, Kind: kind}); !f.Done; {
		f.Data, data = drpcwire.SplitData(data, 0)
		f.Done = len(data) == 0
		buf := make([]byte, headerSize, headerSize+maxFrameHeader+len(f.Data))
		if err := c.sendBytes(drpcwire.AppendFrame(buf, f)); err != nil {
			return err
		}
	}
	return nil
}

// sendBytes sends what follows the first 12 bytes of buf in as many yamux
// frames as the window asks for. Their headers go where they are sent from.
func (c *Call) sendBytes(buf []byte) error {
	for len(buf) > headerSize {
		n, err := c.allowed(len(buf) - headerSize)
		if err != nil {
			return err
		}
		header{kind: typeData, id: c.id, length: uint32(n)}.put(buf)
		if err := c.s.writeFrame(buf[:headerSize+n]); err != nil {
			return err
		}
		buf = buf[n:]
	}
	return nil
}

// allowed waits until the caller takes data, and returns how much of max.
func (c *Call) allowed(max int) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sendWindow == 0 {
		timeout := time.AfterFunc(writeTimeout, func() { _ = c.reset(errSlow) })
		defer timeout.Stop()
	}
	for c.sendWindow == 0 && !c.terminated {
		c.changed.Wait()
	}
	if c.terminated {
		return 0, c.sendErr
	}
	n := min(max, int(c.sendWindow))
	c.sendWindow -= uint32(n)
	return n, nil
}

// widen takes that the caller has read.
func (c *Call) widen(n uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sendWindow += n
	c.changed.Broadcast()
}
