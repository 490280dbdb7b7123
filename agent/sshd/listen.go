//go:build linux

package sshd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// listenKey names a remote forward as the client does.
type listenKey struct {
	host string // or the path of a unix socket
	port uint32 // 0 for unix sockets
}

// tcpForward is the payload of tcpip-forward and of its cancellation (RFC 4254
// §7.1).
type tcpForward struct {
	Host string
	Port uint32
}

func parseTCPForward(payload []byte) (tcpForward, error) {
	var f tcpForward
	if err := ssh.Unmarshal(payload, &f); err != nil {
		return f, fmt.Errorf("parse tcpip-forward: %w", err)
	}
	if f.Port > 65535 {
		return f, fmt.Errorf("parse tcpip-forward: port %d", f.Port)
	}
	return f, nil
}

func parseUnixForward(payload []byte) (string, error) {
	var f struct{ Path string }
	if err := ssh.Unmarshal(payload, &f); err != nil {
		return "", fmt.Errorf("parse streamlocal-forward: %w", err)
	}
	return socketPath(f.Path)
}

// listenTCP starts a remote forward. Like sshd with its default GatewayPorts
// it listens on the loopback only, whatever address the client names: a
// forward must not open a laptop's service to the workspace's network. Both
// families are tried and one is enough. The answer names the port if the
// client left the choice to us.
func (c *connection) listenTCP(ctx context.Context, payload []byte) ([]byte, error) {
	f, err := parseTCPForward(payload)
	if err != nil {
		return nil, err
	}
	lns, port, err := listenLoopback(ctx, f.Port)
	if errors.Is(err, unix.EADDRINUSE) && c.takeOver(ctx, listenKey{port: f.Port}) {
		lns, port, err = listenLoopback(ctx, f.Port)
	}
	if err != nil {
		return nil, err
	}
	key := listenKey{f.Host, port}
	if err := c.addListener(key, lns); err != nil {
		return nil, err
	}
	open := func(from net.Conn) (string, []byte) { return "forwarded-tcpip", forwardedTCP(key, from) }
	for _, ln := range lns {
		c.work.Go(func() { c.acceptForwards(ctx, ln, open) })
	}
	if f.Port != 0 {
		return nil, nil
	}
	return ssh.Marshal(&struct{ Port uint32 }{port}), nil
}

// listeners closes as one.
type listeners []net.Listener

func (l listeners) Close() error {
	var errs []error
	for _, ln := range l {
		errs = append(errs, ln.Close())
	}
	return errors.Join(errs...)
}

func listenLoopback(ctx context.Context, port uint32) (listeners, uint32, error) {
	var lns listeners
	var failed error
	for _, host := range []string{"127.0.0.1", "::1"} {
		var cfg net.ListenConfig
		ln, err := cfg.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		lns = append(lns, ln)
		port = uint32(ln.Addr().(*net.TCPAddr).Port)
	}
	if len(lns) == 0 {
		return nil, 0, failed
	}
	return lns, port, nil
}

// forwardedTCP is the data of a forwarded-tcpip channel (RFC 4254 §7.2). It
// names the forward as the client did, for that is how it finds it.
func forwardedTCP(key listenKey, from net.Conn) []byte {
	host, port := hostPort(from.RemoteAddr())
	n, _ := strconv.ParseUint(port, 10, 16) // from an address: always a number
	return ssh.Marshal(&struct {
		Host       string
		Port       uint32
		Originator string
		OrigPort   uint32
	}{key.host, key.port, host, uint32(n)})
}

// listenUnix starts a remote forward of a unix socket, which only this user
// may connect to.
func (c *connection) listenUnix(ctx context.Context, payload []byte) error {
	path, err := parseUnixForward(payload)
	if err != nil {
		return err
	}
	ln, err := listenPrivate(ctx, path)
	if errors.Is(err, unix.EADDRINUSE) && (removeStale(ctx, path) || c.takeOver(ctx, listenKey{host: path})) {
		ln, err = listenPrivate(ctx, path)
	}
	if err != nil {
		return err
	}
	own, err := keepOwn(ln, path)
	if err != nil {
		return err
	}
	ln = own
	if err := c.addListener(listenKey{host: path}, listeners{ln}); err != nil {
		return err
	}
	data := ssh.Marshal(&struct{ Path, Reserved string }{path, ""})
	open := func(net.Conn) (string, []byte) { return "forwarded-streamlocal@openssh.com", data }
	c.work.Go(func() { c.acceptForwards(ctx, ln, open) })
	return nil
}

// ownSocket takes its file away at the end, unless another socket has its place: a
// client that comes again may have put its own there.
type ownSocket struct {
	net.Listener
	path string
	file fs.FileInfo
	once sync.Once
}

func keepOwn(ln net.Listener, path string) (*ownSocket, error) {
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	file, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("look at our socket: %w", err), ln.Close())
	}
	return &ownSocket{Listener: ln, path: path, file: file}, nil
}

func (s *ownSocket) Close() error {
	s.once.Do(func() { // before the end: the file is known by a number that is free then
		if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.file) {
			_ = os.Remove(s.path)
		}
	})
	return s.Listener.Close()
}

// listenPrivate listens on a socket that only this user may connect to.
func listenPrivate(ctx context.Context, path string) (net.Listener, error) {
	cfg := net.ListenConfig{Control: privateSocket}
	return cfg.Listen(ctx, "unix", path)
}

// removeStale removes the socket that a connection left behind when its agent
// was killed: one that nobody listens on any more. It reports whether it did.
func removeStale(ctx context.Context, path string) bool {
	if st, err := os.Lstat(path); err != nil || st.Mode().Type() != fs.ModeSocket {
		return false
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
	}
	return errors.Is(err, unix.ECONNREFUSED) && os.Remove(path) == nil
}

// privateSocket gives a socket the mode that bind will create its file with,
// so that there is no moment at which others could connect.
func privateSocket(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) { failed = unix.Fchmod(int(fd), 0o600) })
	return errors.Join(err, failed)
}

// acceptForwards passes connections to ln on to the client until ln closes.
// open names the channel and its data.
func (c *connection) acceptForwards(ctx context.Context, ln net.Listener, open func(net.Conn) (string, []byte)) {
	for {
		conn, err := accept(ctx, ln)
		if err != nil {
			_ = ln.Close()
			return
		}
		if !c.takeForward() {
			_ = conn.Close()
			continue
		}
		c.work.Go(func() {
			defer c.forwards.release()
			defer conn.Close()
			kind, data := open(conn)
			ch, reqs, err := c.ssh.OpenChannel(kind, data)
			if err != nil {
				return // the client does not want it or is gone
			}
			join(ctx, ch, reqs, conn, &c.srv.counters)
		})
	}
}

// addListener keeps lns until they are cancelled or the connection ends, or
// closes them if it cannot.
func (c *connection) addListener(key listenKey, lns listeners) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, taken := c.listeners[key]
	if c.listeners == nil || taken || len(c.listeners) >= c.srv.limits.Listeners {
		_ = lns.Close()
		c.srv.counters.forwardsRefused.Add(1)
		return fmt.Errorf("add remote forward: taken or over the limit of %d", c.srv.limits.Listeners)
	}
	c.listeners[key] = lns
	c.srv.takeovers.hold(key.place(), c)
	return nil
}

func (c *connection) cancelTCP(payload []byte) error {
	f, err := parseTCPForward(payload)
	if err != nil {
		return err
	}
	return c.cancel(listenKey{f.Host, f.Port})
}

func (c *connection) cancelUnix(payload []byte) error {
	path, err := parseUnixForward(payload)
	if err != nil {
		return err
	}
	return c.cancel(listenKey{host: path})
}

func (c *connection) cancel(key listenKey) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	lns, ok := c.listeners[key]
	if !ok {
		return errRefused
	}
	delete(c.listeners, key)
	c.srv.takeovers.release(key.place(), c)
	return lns.Close()
}

func (c *connection) closeListeners() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, lns := range c.listeners {
		_ = lns.Close()
		c.srv.takeovers.release(key.place(), c)
	}
	c.listeners = nil
	if c.agent != nil {
		c.agent.close()
	}
}
