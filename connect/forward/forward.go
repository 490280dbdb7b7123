package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berthdev/berth/tailnet/netstack"
)

const (
	// dialTimeout is how long a connection waits for its other end: an agent that
	// is restarted is back before, and so is one whose laptop changes networks.
	dialTimeout = 30 * time.Second
	// acceptAgain is the pause after an accept that failed, as it does when this
	// process may open no more files.
	acceptAgain = 100 * time.Millisecond
)

// Config is what forwards have in common.
type Config struct {
	// Dial reaches an endpoint of the workspace's side. The connection outlives
	// ctx. Required.
	Dial func(ctx context.Context, network string, to Endpoint) (net.Conn, error)

	// Failed is called when a connection comes to nothing, nil is not. It must
	// not block.
	Failed func(*Forward, error)

	// Log gets what goes wrong with single connections; nil discards.
	Log *slog.Logger
}

// Forward carries what one rule says. Use Listen, then Run once.
type Forward struct {
	cfg       Config
	rule      Rule
	listeners []net.Listener
	packets   []net.PacketConn

	open           atomic.Int64
	total, dropped atomic.Uint64
	sent, received atomic.Uint64
	failure        atomic.Pointer[error]
}

// Status is what a forward has done until now.
type Status struct {
	Open           int64  // connections, or UDP conversations, now
	Total          uint64 // the same since the beginning
	Sent, Received uint64 // bytes to the workspace and from it
	Dropped        uint64 // datagrams that there was no room for
	Failure        error  // why a connection last came to nothing; nil if the latest did not
}

// Listen begins to listen as the rule says; nothing is carried before Run. The
// caller runs or stops the forward.
func Listen(rule Rule, cfg Config) (*Forward, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	f := &Forward{cfg: cfg, rule: rule}
	var err error
	if rule.Network == "udp" {
		f.packets, err = onAddresses(rule.Listen, func(address string) (net.PacketConn, net.Addr, error) {
			pc, err := net.ListenPacket(family("udp", rule.Listen.Host), address)
			if err != nil {
				return nil, nil, err
			}
			return pc, pc.LocalAddr(), nil
		})
	} else {
		f.listeners, err = listenStream(rule.Listen)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", rule.Listen, err)
	}
	return f, nil
}

// Rule is what Listen was given.
func (f *Forward) Rule() Rule { return f.rule }

// Addresses are those that the forward listens on.
func (f *Forward) Addresses() (all []string) {
	for _, ln := range f.listeners {
		all = append(all, ln.Addr().String())
	}
	for _, pc := range f.packets {
		all = append(all, pc.LocalAddr().String())
	}
	return all
}

// Status tells what the forward has done.
func (f *Forward) Status() Status {
	s := Status{
		Open: f.open.Load(), Total: f.total.Load(), Dropped: f.dropped.Load(),
		Sent: f.sent.Load(), Received: f.received.Load(),
	}
	if failure := f.failure.Load(); failure != nil {
		s.Failure = *failure
	}
	return s
}

// Stop takes no more connections, and ends UDP conversations; connections that
// are open stay until they end or Run's context does. It may be called twice.
func (f *Forward) Stop() {
	for _, ln := range f.listeners {
		_ = ln.Close()
	}
	for _, pc := range f.packets {
		_ = pc.Close()
	}
}

// Run carries connections until ctx ends, or Stop was called and the last one
// has ended. Nothing of the forward is left then.
func (f *Forward) Run(ctx context.Context) {
	defer context.AfterFunc(ctx, f.Stop)()
	var loops sync.WaitGroup
	for _, ln := range f.listeners {
		loops.Go(func() { f.accept(ctx, ln) })
	}
	for _, pc := range f.packets {
		loops.Go(func() { f.receive(ctx, pc) })
	}
	loops.Wait()
}

func (f *Forward) accept(ctx context.Context, ln net.Listener) {
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		conn, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			f.failed(err)
			select {
			case <-time.After(acceptAgain):
				continue
			case <-ctx.Done():
				return
			}
		}
		conns.Go(func() { f.carry(ctx, conn) })
	}
}

// carry joins one connection with its other end.
func (f *Forward) carry(ctx context.Context, local net.Conn) {
	remote, err := f.dial(ctx)
	if err != nil {
		reset(local)
		return
	}
	defer f.open.Add(-1)
	defer context.AfterFunc(ctx, func() {
		_ = local.Close()
		_ = remote.Close()
	})()
	netstack.Join(counted{local, &f.sent}, counted{remote, &f.received})
}

// dial reaches the workspace's side, and counts what it reached as open.
func (f *Forward) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	f.total.Add(1)
	remote, err := f.cfg.Dial(ctx, f.rule.Network, f.rule.Target)
	if err != nil {
		f.failed(err)
		return nil, err
	}
	f.open.Add(1)
	f.failure.Store(nil)
	return remote, nil
}

func (f *Forward) failed(err error) {
	f.failure.Store(&err)
	if f.cfg.Failed != nil {
		f.cfg.Failed(f, err)
	}
	f.cfg.Log.Info("connection not forwarded", "to", f.rule.Target.String(), "err", err)
}

// reset ends a connection so that its program learns that there was nobody,
// where the system can say that.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// counted counts the bytes that are read.
type counted struct {
	net.Conn
	n *atomic.Uint64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.Add(uint64(n))
	return n, err
}

func (c counted) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}
