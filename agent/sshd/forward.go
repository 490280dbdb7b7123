//go:build linux

package sshd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// target is where a client wants to be connected to.
type target struct{ network, address string }

// parseDirectTCP parses the data of direct-tcpip (RFC 4254 §7.2). Who made the
// connection at the client is not used.
func parseDirectTCP(data []byte) (target, error) {
	var d struct {
		Host       string
		Port       uint32
		Originator string
		OrigPort   uint32
	}
	if err := ssh.Unmarshal(data, &d); err != nil {
		return target{}, fmt.Errorf("parse direct-tcpip: %w", err)
	}
	if d.Host == "" || d.Port == 0 || d.Port > 65535 {
		return target{}, fmt.Errorf("parse direct-tcpip: bad host or port %d", d.Port)
	}
	return target{"tcp", net.JoinHostPort(d.Host, strconv.Itoa(int(d.Port)))}, nil
}

// parseDirectUnix parses the data of direct-streamlocal@openssh.com (OpenSSH
// PROTOCOL §2.4): a path and two reserved fields.
func parseDirectUnix(data []byte) (target, error) {
	var d struct {
		Path     string
		Reserved string
		Unused   uint32
	}
	if err := ssh.Unmarshal(data, &d); err != nil {
		return target{}, fmt.Errorf("parse direct-streamlocal: %w", err)
	}
	path, err := socketPath(d.Path)
	if err != nil {
		return target{}, fmt.Errorf("parse direct-streamlocal: %w", err)
	}
	return target{"unix", path}, nil
}

// maxSocketPath is what fits into a sockaddr_un with its final NUL.
const maxSocketPath = 107

// socketPath checks a path from a client: absolute, as it knows no directory
// of ours, and not one that Go would take for an abstract name.
func socketPath(path string) (string, error) {
	if !filepath.IsAbs(path) || len(path) > maxSocketPath || strings.ContainsRune(path, 0) {
		return "", fmt.Errorf("socket path of %d bytes is not absolute or too long", len(path))
	}
	return path, nil
}

// openForward connects the client to a target in the workspace.
func (c *connection) openForward(ctx context.Context, nc ssh.NewChannel, parse func([]byte) (target, error)) {
	if c.srv.cfg.BlockLocalForwarding {
		c.srv.counters.forwardsRefused.Add(1)
		_ = nc.Reject(ssh.Prohibited, "open failed") // in sshd's words
		return
	}
	to, err := parse(nc.ExtraData())
	if err != nil {
		_ = nc.Reject(ssh.ConnectionFailed, "malformed request")
		return
	}
	if !c.takeForward() {
		_ = nc.Reject(ssh.ResourceShortage, "too many forwarded connections")
		return
	}
	c.work.Go(func() {
		defer c.forwards.release()
		d := net.Dialer{Timeout: c.srv.limits.Dial}
		conn, err := d.DialContext(ctx, to.network, to.address)
		if err != nil {
			_ = nc.Reject(ssh.ConnectionFailed, dialMessage(err))
			return
		}
		defer conn.Close()
		ch, reqs, err := nc.Accept()
		if err != nil {
			return // the connection is gone
		}
		join(ctx, ch, reqs, conn, &c.srv.counters)
	})
}

// dialMessage says why a connection was not made in the words of the C library,
// which users of ssh know.
func dialMessage(err error) string {
	var dns *net.DNSError
	var errno syscall.Errno
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "Name or service not known"
	case errors.As(err, &errno):
		text := errno.Error()
		return strings.ToUpper(text[:1]) + text[1:]
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "Connection timed out"
	default:
		return err.Error()
	}
}

func (c *connection) takeForward() bool {
	if !c.forwards.take() {
		c.srv.counters.forwardsRefused.Add(1)
		return false
	}
	c.srv.counters.forwards.Add(1)
	return true
}

// join moves bytes both ways until both directions have ended, each end passed
// on by itself, or ctx ends. It closes ch and conn. What the client sends is
// counted.
func join(ctx context.Context, ch ssh.Channel, reqs <-chan *ssh.Request, conn net.Conn, counters *counters) {
	defer context.AfterFunc(ctx, func() { abort(conn) })()
	var both, inward sync.WaitGroup
	inward.Go(func() {
		_, _ = io.Copy(conn, countedReader{ch, counters})
		closeWrite(conn)
	})
	both.Go(func() {
		_, _ = io.Copy(ch, conn)
		_ = ch.CloseWrite()
		inward.Wait()
		_ = ch.Close()
	})
	both.Go(func() {
		ssh.DiscardRequests(reqs) // until the client closes the channel
		inward.Wait()             // what it sent before still arrives
		_ = conn.Close()
	})
	both.Wait()
}

// countedReader counts what a client sends into a forwarded connection.
type countedReader struct {
	io.Reader
	counters *counters
}

func (r countedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 {
		r.counters.came("forward", n)
	}
	return n, err
}

// closeWrite ends the stream towards conn; TCP and unix sockets can do that.
func closeWrite(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	_ = conn.Close()
}
