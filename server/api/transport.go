package api

import (
	"context"
	"net"
	"net/http"
	"time"
)

const (
	// dialAgainAfter is how long a connection may take before another is begun
	// beside it: the kernel repeats a lost SYN only after a second (RFC 6298),
	// and again after two more.
	dialAgainAfter = 250 * time.Millisecond

	// maxDials bounds the connections that are begun for one.
	maxDials = 4

	// dialTimeout bounds all of them.
	dialTimeout = 30 * time.Second
)

// Transport returns a transport for a Client: HTTP/1.1 only, because a
// connection that carried a call then carries the next WebSocket, where HTTP/2
// would need a second connection and TLS handshake; proxies from the
// environment; and connections that a lost packet delays by a quarter of a
// second only.
func Transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.MaxIdleConnsPerHost = 4
	t.IdleConnTimeout = 90 * time.Second
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return dialAgain(ctx, func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, network, address) })
	}
	return t
}

type dialed struct {
	conn net.Conn
	err  error
}

// dialAgain begins further dials beside one that takes long and returns the
// first connection. It fails when all that were begun have failed.
func dialAgain(ctx context.Context, dial func(context.Context) (net.Conn, error)) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan dialed)
	running := 0
	begin := func() {
		running++
		go func() {
			conn, err := dial(ctx)
			results <- dialed{conn, err}
		}()
	}
	defer func() { // those that lost end with ctx
		cancel()
		go discard(results, running)
	}()
	begin()
	again := time.NewTicker(dialAgainAfter)
	defer again.Stop()
	for begun := 1; ; {
		select {
		case r := <-results:
			if running--; r.err == nil || running == 0 {
				return r.conn, r.err
			}
		case <-again.C:
			if begun < maxDials {
				begun++
				begin()
			}
		}
	}
}

// discard waits for n dials and closes what came of them.
func discard(results <-chan dialed, n int) {
	for range n {
		if r := <-results; r.err == nil {
			r.conn.Close()
		}
	}
}
