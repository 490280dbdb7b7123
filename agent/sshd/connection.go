//go:build linux

package sshd

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/crypto/ssh"
)

// connection is one client after the handshake.
type connection struct {
	srv      *Server
	ssh      *ssh.ServerConn
	net      *bufferedConn
	id       string
	started  time.Time
	sessions slots
	forwards slots
	work     sync.WaitGroup
	why      atomic.Pointer[string]    // we ended it, if not nil
	poke     chan struct{}             // has watch ask the client for a sign of life
	owes     atomic.Pointer[time.Time] // since when it owes us one that was waited for, if not nil

	// Only dispatch and what it calls use these.
	chans <-chan ssh.NewChannel
	seen  int // channels taken from chans
	last  int // number of the last that may be a session; 0 means no end

	mu        sync.Mutex
	listeners map[listenKey]listeners // remote forwards; nil after the end
	agent     *agentSocket            // nil until a session asks for it
}

func newConnection(srv *Server, sc *ssh.ServerConn, conn *bufferedConn) *connection {
	c := &connection{
		srv: srv, ssh: sc, net: conn, id: uuid.NewString(), started: time.Now(),
		listeners: map[listenKey]listeners{}, poke: make(chan struct{}, 1),
	}
	c.sessions.most = int64(srv.limits.Sessions)
	c.forwards.most = int64(srv.limits.Forwards)
	return c
}

// serve returns when the connection and everything on it has ended.
func (c *connection) serve(ctx context.Context, chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) {
	ctx, cancel := context.WithCancel(ctx)
	c.chans = chans
	c.srv.log.DebugContext(ctx, "ssh connected", "peer", c.ssh.RemoteAddr())
	c.srv.report(c.event(ConnectionOpened))
	c.work.Go(func() { c.watch(ctx, c.srv.cfg.MaxTimeout) })
	c.dispatch(ctx, reqs)
	cancel()
	c.closeListeners()
	c.work.Wait()
	c.closed(c.ssh.Wait())
	c.srv.log.DebugContext(ctx, "ssh disconnected", "peer", c.ssh.RemoteAddr())
}

// abort ends the connection for a reason of ours.
func (c *connection) abort(why string) {
	c.why.CompareAndSwap(nil, &why)
	abort(c.net.Conn)
}

// dispatch handles a channel only after the global requests that were sent
// before it, so that a command can rely on the remote forward that was asked
// for first: such a request is in reqs before the channel is in chans. (One
// sent after it may be handled before it, which harms nobody.) It returns when
// the connection has ended.
func (c *connection) dispatch(ctx context.Context, reqs <-chan *ssh.Request) {
	for {
		select {
		case req, ok := <-reqs:
			if !ok {
				return
			}
			c.answer(ctx, req)
		case nc, ok := <-c.chans:
			if !ok {
				return
			}
			c.seen++
			for n := len(reqs); n > 0; n-- {
				c.answer(ctx, <-reqs)
			}
			c.open(ctx, nc)
		}
	}
}

// open answers a request for a channel; it does not block on anything but the
// connection.
func (c *connection) open(ctx context.Context, nc ssh.NewChannel) {
	switch nc.ChannelType() {
	case "session":
		c.openSession(ctx, nc)
	case "direct-tcpip":
		c.openForward(ctx, nc, parseDirectTCP)
	case "direct-streamlocal@openssh.com":
		c.openForward(ctx, nc, parseDirectUnix)
	default:
		_ = nc.Reject(ssh.UnknownChannelType, "unknown channel type")
	}
}

func (c *connection) openSession(ctx context.Context, nc ssh.NewChannel) {
	if c.last > 0 && c.seen > c.last {
		c.srv.counters.sessionsRefused.Add(1)
		_ = nc.Reject(ssh.Prohibited, "open failed")
		return
	}
	if !c.sessions.take() {
		c.srv.counters.sessionsRefused.Add(1)
		_ = nc.Reject(ssh.ResourceShortage, "too many sessions")
		return
	}
	c.srv.counters.sessions.Add(1)
	c.work.Go(func() {
		defer c.sessions.release()
		ch, reqs, err := nc.Accept()
		if err != nil {
			return // the connection is gone
		}
		c.serveSession(ctx, ch, reqs)
	})
}

// errRefused answers a global request with a plain failure.
var errRefused = errors.New("refused")

// answer answers a global request, among them the client's keepalives, which
// any answer satisfies.
func (c *connection) answer(ctx context.Context, req *ssh.Request) {
	answer, err := c.global(ctx, req)
	if err != nil && !errors.Is(err, errRefused) {
		c.srv.log.DebugContext(ctx, "ssh request refused", "type", clip(req.Type), "error", clip(err.Error()))
	}
	_ = req.Reply(err == nil, answer)
}

func (c *connection) global(ctx context.Context, req *ssh.Request) (answer []byte, err error) {
	switch req.Type {
	case "no-more-sessions@openssh.com":
		c.last = max(1, c.seen+len(c.chans)) // those that were sent before have come
		return nil, nil
	case "tcpip-forward", "streamlocal-forward@openssh.com":
		return c.listen(ctx, req)
	case "cancel-tcpip-forward":
		return nil, c.cancelTCP(req.Payload)
	case "cancel-streamlocal-forward@openssh.com":
		return nil, c.cancelUnix(req.Payload)
	default:
		return nil, errRefused
	}
}

// listen starts a remote forward.
func (c *connection) listen(ctx context.Context, req *ssh.Request) (answer []byte, err error) {
	if c.srv.cfg.BlockRemoteForwarding {
		c.srv.counters.forwardsRefused.Add(1)
		return nil, errRefused
	}
	if req.Type == "tcpip-forward" {
		return c.listenTCP(ctx, req.Payload)
	}
	return nil, c.listenUnix(ctx, req.Payload)
}
