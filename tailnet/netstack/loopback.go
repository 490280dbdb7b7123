package netstack

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

const (
	// loopbackDialTimeout bounds the dial that decides on a connection.
	loopbackDialTimeout = 5 * time.Second

	// udpIdle and dnsIdle end a UDP conversation in which nothing came either way.
	udpIdle = 2 * time.Minute
	dnsIdle = 30 * time.Second

	// datagramMax is the largest UDP payload.
	datagramMax = 65535

	// copyBuffer is what one direction of a forwarded connection holds.
	copyBuffer = 64 << 10
)

// LoopbackTCP is a Config.TCP that forwards each connection to the same port of
// this machine's loopback, 127.0.0.1 and then ::1.
func LoopbackTCP(ctx context.Context, f Flow) (func(net.Conn), error) {
	ctx, cancel := context.WithTimeout(ctx, loopbackDialTimeout)
	defer cancel()
	port := strconv.Itoa(int(f.Destination.Port()))
	var d net.Dialer
	local, err4 := d.DialContext(ctx, "tcp4", net.JoinHostPort("127.0.0.1", port))
	if err4 == nil {
		return func(c net.Conn) { Join(c, local) }, nil
	}
	local, err6 := d.DialContext(ctx, "tcp6", net.JoinHostPort("::1", port))
	if err6 != nil {
		return nil, errors.Join(err4, err6)
	}
	return func(c net.Conn) { Join(c, local) }, nil
}

// LoopbackUDP is a Config.UDP that forwards each conversation to the same port
// of 127.0.0.1.
func LoopbackUDP(ctx context.Context, f Flow) (func(net.Conn), error) {
	port := f.Destination.Port()
	var d net.Dialer
	local, err := d.DialContext(ctx, "udp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	if err != nil {
		return nil, err
	}
	return func(c net.Conn) { Exchange(c, local, UDPIdle(port)) }, nil
}

// UDPIdle is how long a conversation with a port stays open in which nothing
// comes either way.
func UDPIdle(port uint16) time.Duration {
	if port == 53 {
		return dnsIdle
	}
	return udpIdle
}

// Join copies both ways, half-close by half-close, until both have ended or one
// fails, and closes both.
func Join(a, b net.Conn) {
	defer a.Close()
	defer b.Close()
	var wg sync.WaitGroup
	wg.Go(func() { pump(a, b) })
	pump(b, a)
	wg.Wait()
}

// pump copies src to dst. An end is passed on as such; after an error neither
// direction goes on.
func pump(dst, src net.Conn) {
	_, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, make([]byte, copyBuffer))
	half, ok := dst.(interface{ CloseWrite() error })
	if err == nil && ok && half.CloseWrite() == nil {
		return
	}
	dst.Close()
	src.Close()
}

// Exchange copies datagrams both ways until none came for idle or one end fails,
// and closes both.
func Exchange(a, b net.Conn, idle time.Duration) {
	timer := time.AfterFunc(idle, func() { a.Close(); b.Close() })
	defer timer.Stop()
	var wg sync.WaitGroup
	wg.Go(func() { datagrams(a, b, timer, idle) })
	datagrams(b, a, timer, idle)
	wg.Wait()
}

func datagrams(dst, src net.Conn, timer *time.Timer, idle time.Duration) {
	defer dst.Close()
	defer src.Close()
	buf := make([]byte, datagramMax)
	for {
		n, err := src.Read(buf)
		if err != nil {
			return
		}
		timer.Reset(idle)
		if _, err := dst.Write(buf[:n]); err != nil {
			return
		}
	}
}
