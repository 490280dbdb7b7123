package forward

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/berthdev/berth/tailnet/netstack"
)

const (
	// maxFlows bounds the conversations of one UDP port, and flowQueue the
	// datagrams of one that wait for the way to the workspace. What is above
	// either is dropped and counted, as networks do.
	maxFlows  = 1024
	flowQueue = 128

	// datagramMax is the largest UDP payload.
	datagramMax = 65535
)

// flows are the conversations of one UDP port, one for each address that sends
// to it.
type flows struct {
	forward *Forward
	packets net.PacketConn
	running sync.WaitGroup

	mu sync.Mutex // guards below
	by map[string]*flow
}

// receive gives each datagram to its conversation.
func (f *Forward) receive(ctx context.Context, pc net.PacketConn) {
	all := &flows{forward: f, packets: pc, by: map[string]*flow{}}
	defer all.running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	buf := make([]byte, datagramMax)
	for {
		n, from, err := pc.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // Windows tells here that an answer did not arrive
		}
		if !all.deliver(ctx, from, append([]byte(nil), buf[:n]...)) {
			f.dropped.Add(1)
		}
	}
}

// deliver queues a datagram and reports whether there was room.
func (all *flows) deliver(ctx context.Context, from net.Addr, datagram []byte) bool {
	all.mu.Lock()
	defer all.mu.Unlock()
	fl := all.by[from.String()]
	if fl == nil {
		if len(all.by) >= maxFlows {
			return false
		}
		fl = &flow{packets: all.packets, from: from, queue: make(chan []byte, flowQueue), closed: make(chan struct{})}
		all.by[from.String()] = fl
		all.running.Go(func() { all.serve(ctx, fl) })
	}
	select {
	case fl.queue <- datagram:
		return true
	default:
		return false
	}
}

// serve carries a conversation to its end.
func (all *flows) serve(ctx context.Context, fl *flow) {
	defer func() {
		all.mu.Lock()
		defer all.mu.Unlock()
		delete(all.by, fl.from.String())
	}()
	f := all.forward
	remote, err := f.dial(ctx)
	if err != nil {
		return
	}
	defer f.open.Add(-1)
	defer context.AfterFunc(ctx, func() {
		_ = fl.Close()
		_ = remote.Close()
	})()
	netstack.Exchange(counted{fl, &f.sent}, counted{remote, &f.received}, netstack.UDPIdle(f.rule.Target.Port))
}

// flow is the near end of a conversation, as a connection of datagrams.
type flow struct {
	packets net.PacketConn
	from    net.Addr
	queue   chan []byte
	closed  chan struct{}
	once    sync.Once
}

func (f *flow) Read(p []byte) (int, error) {
	select {
	case datagram := <-f.queue:
		return copy(p, datagram), nil
	case <-f.closed:
		return 0, net.ErrClosed
	}
}

func (f *flow) Write(p []byte) (int, error) { return f.packets.WriteTo(p, f.from) }

// Close ends the conversation, not the socket. It may be called twice.
func (f *flow) Close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}

func (f *flow) LocalAddr() net.Addr              { return f.packets.LocalAddr() }
func (f *flow) RemoteAddr() net.Addr             { return f.from }
func (f *flow) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (f *flow) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (f *flow) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }
