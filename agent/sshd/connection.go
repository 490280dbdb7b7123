//go:build linux

package sshd

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/crypto/ssh"
)

// connection is one client after the handshake.
type connection struct {
	srv      *Server
	ssh      *ssh.ServerConn
	sessions slots
	forwards slots
	work     sync.WaitGroup

	mu        sync.Mutex
	listeners map[listenKey]listeners // remote forwards; nil after the end
}

func newConnection(srv *Server, sc *ssh.ServerConn) *connection {
	c := &connection{srv: srv, ssh: sc, listeners: map[listenKey]listeners{}}
	c.sessions.most = int64(srv.limits.Sessions)
	c.forwards.most = int64(srv.limits.Forwards)
	return c
}

// serve returns when the connection and everything on it has ended.
func (c *connection) serve(ctx context.Context, chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) {
	ctx, cancel := context.WithCancel(ctx)
	c.srv.log.DebugContext(ctx, "ssh connected", "peer", c.ssh.RemoteAddr())
	c.dispatch(ctx, chans, reqs)
	cancel()
	c.closeListeners()
	c.work.Wait()
	c.srv.log.DebugContext(ctx, "ssh disconnected", "peer", c.ssh.RemoteAddr())
}

// dispatch handles a channel only after the global requests that were sent
// before it, so that a command can rely on the remote forward that was asked
// for first: such a request is in reqs before the channel is in chans. (One
// sent after it may be handled before it, which harms nobody.) It returns when
// the connection has ended.
func (c *connection) dispatch(ctx context.Context, chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) {
	for {
		select {
		case req, ok := <-reqs:
			if !ok {
				return
			}
			c.answer(ctx, req)
		case nc, ok := <-chans:
			if !ok {
				return
			}
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
		return nil, nil // a promise; whoever breaks it can as well connect anew
	case "tcpip-forward":
		return c.listenTCP(ctx, req.Payload)
	case "streamlocal-forward@openssh.com":
		return nil, c.listenUnix(ctx, req.Payload)
	case "cancel-tcpip-forward":
		return nil, c.cancelTCP(req.Payload)
	case "cancel-streamlocal-forward@openssh.com":
		return nil, c.cancelUnix(req.Payload)
	default:
		return nil, errRefused
	}
}
