package netlab

import (
	"context"
	"net"
	"os/exec"
)

// Host is a node where programs run. Its resolver, files and users are the
// machine's; only the network is its own.
type Host struct {
	*node
}

// MoveTo unplugs the host and plugs it in at another router, where it gets a
// new address, the way a laptop changes networks. Blocks stay; the new link
// has perfect conditions. Open sockets stay open.
func (h *Host) MoveTo(r *Router) {
	h.lab.t.Helper()
	h.must("move to "+r.name, h.move(r))
}

func (h *Host) move(r *Router) error {
	filters := h.filters
	for _, f := range filters {
		if err := h.unblock(f); err != nil {
			return err
		}
	}
	h.link.close()
	if err := h.attach(r); err != nil {
		return err
	}
	for _, f := range filters {
		if err := h.block(f); err != nil {
			return err
		}
	}
	return nil
}

// Do runs f on a thread that is in the node's namespace, so that the sockets
// that f itself opens belong there, wherever they are used later. Goroutines
// that f starts are not in the namespace, and dialing a name or an HTTP URL
// starts some: use Dial for those.
func (n *node) Do(f func() error) error { return n.ns.do(f) }

// Dial connects from the node. The address must be numeric. It suits
// http.Transport.DialContext.
func (n *node) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = n.Do(func() error {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen listens for TCP connections on the node.
func (n *node) Listen(network, address string) (ln net.Listener, err error) {
	err = n.Do(func() error {
		ln, err = net.Listen(network, address)
		return err
	})
	return ln, err
}

// ListenPacket opens a UDP socket on the node.
func (n *node) ListenPacket(network, address string) (conn net.PacketConn, err error) {
	err = n.Do(func() error {
		conn, err = net.ListenPacket(network, address)
		return err
	})
	return conn, err
}

// Command is exec.CommandContext on the node; all of exec.Cmd may be used. What
// still runs on the node when the lab closes is killed.
func (n *node) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	path, err := exec.LookPath(name)
	if err != nil {
		return &exec.Cmd{Path: name, Args: append([]string{name}, args...), Err: err}
	}
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + n.ns.path(), "--", path}, args...)...)
}
