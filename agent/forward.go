//go:build linux

package agent

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// hostTimeout bounds the way to the session host, its start included.
const hostTimeout = 15 * time.Second

// forward connects those who come to a port of the tailnet to the session host,
// until ln ends, and waits for them.
func (n *network) forward(ctx context.Context, ln net.Listener, kind string) {
	var conns sync.WaitGroup
	defer conns.Wait()
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	for {
		conn, err := ln.Accept()
		if err != nil {
			if ctx.Err() == nil {
				n.cfg.Log.Error("a port of the tailnet ended", "kind", kind, "err", err)
			}
			return
		}
		conns.Go(func() { n.join(ctx, conn, kind) })
	}
}

// join carries one connection.
func (n *network) join(ctx context.Context, user net.Conn, kind string) {
	defer user.Close()
	remote, err := remoteOf(user)
	if err != nil {
		return
	}
	dialing, cancel := context.WithTimeout(ctx, hostTimeout)
	session, err := n.host.Dial(dialing, kind, remote)
	cancel()
	if err != nil {
		n.cfg.Log.Warn("no way to the sessions", "err", err)
		return
	}
	defer session.Close()
	defer context.AfterFunc(ctx, func() {
		_ = user.Close()
		_ = session.Close()
	})()
	splice(user, session)
}

// remoteOf is who conn is from; of one that was reset already it is not known.
func remoteOf(conn net.Conn) (netip.AddrPort, error) {
	addr := conn.RemoteAddr()
	if addr == nil {
		return netip.AddrPort{}, net.ErrClosed
	}
	return netip.ParseAddrPort(addr.String())
}

// splice copies both ways until both have ended, or one has failed.
func splice(a, b net.Conn) {
	var copying sync.WaitGroup
	copying.Go(func() { pump(a, b) })
	pump(b, a)
	copying.Wait()
}

// pumpSize is that of a copy's buffer: a Unix socket takes about 200 KB at once.
const pumpSize = 128 << 10

// buffers are shared, as most connections are idle: their first bytes are read
// with the small one that each has.
var buffers = sync.Pool{New: func() any { return new([pumpSize]byte) }}

// pump copies one way and passes the end on.
func pump(to, from net.Conn) {
	if err := copyConn(to, from); err != nil {
		_ = to.Close() // what broke one way is of no use the other way
		_ = from.Close()
		return
	}
	if c, ok := to.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
}

// copyConn copies until from ends. It reads with a small buffer while little
// comes.
func copyConn(to io.Writer, from io.Reader) error {
	var small [4 << 10]byte
	buf := small[:]
	var large *[pumpSize]byte
	defer func() { giveBack(large) }()
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case n == len(small) && large == nil:
			large = buffers.Get().(*[pumpSize]byte)
			buf = large[:]
		case n < len(small)/4 && large != nil:
			giveBack(large)
			large, buf = nil, small[:]
		}
	}
}

func giveBack(large *[pumpSize]byte) {
	if large != nil {
		buffers.Put(large)
	}
}
