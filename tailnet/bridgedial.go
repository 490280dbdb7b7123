package tailnet

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/coder/websocket"
)

// bridgeTarget is the relay behind a bridge, and how it is asked.
type bridgeTarget struct {
	scheme, host string // http or https
	port         int
	header       http.Header
	tls          *tls.Config // nil for the usual
	webSocket    bool        // do not try the upgrade to DERP, which goes through no proxy
	insecure     bool        // any certificate, for tests
}

func (t bridgeTarget) sameRelay(o bridgeTarget) bool {
	return t.scheme == o.scheme && t.host == o.host && t.port == o.port
}

func (t bridgeTarget) address() string { return net.JoinHostPort(t.host, strconv.Itoa(t.port)) }

func (t bridgeTarget) tlsConfig() *tls.Config {
	cfg := t.tls.Clone()
	if cfg == nil {
		cfg = &tls.Config{}
	}
	cfg.ServerName = t.host
	cfg.InsecureSkipVerify = cfg.InsecureSkipVerify || t.insecure
	return cfg
}

// refusedUpgrade is an answer other than 101 to the upgrade to DERP.
type refusedUpgrade struct{ status string }

func (r *refusedUpgrade) Error() string { return "upgrade to DERP answered " + r.status }

// dialUpgrade asks for the upgrade to DERP. An answer that is not 101, or none
// that is HTTP, is a refusedUpgrade.
func (t bridgeTarget) dialUpgrade(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", t.address())
	if err != nil {
		return nil, err
	}
	if t.scheme == "https" {
		c := tls.Client(conn, t.tlsConfig())
		if err := c.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		conn = c
	}
	resp, br, err := askUpgrade(ctx, conn, t.address(), t.header)
	if err != nil {
		conn.Close()
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, &refusedUpgrade{"nothing sensible"}
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		conn.Close()
		return nil, &refusedUpgrade{resp.Status}
	}
	return &bufferedConn{Conn: conn, r: br}, nil
}

// bufferedConn reads what was read ahead first.
type bufferedConn struct {
	net.Conn
	r *bufio.Reader
}

func (c *bufferedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// dialWebSocket dials by WebSocket, subprotocol derp, within ctx; the
// connection lives until life ends.
func (t bridgeTarget) dialWebSocket(ctx, life context.Context) (net.Conn, error) {
	u := url.URL{Scheme: t.scheme, Host: t.address(), Path: "/derp"}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: t.tlsConfig()}
	c, resp, err := websocket.Dial(ctx, u.String(), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, HTTPHeader: t.header.Clone(), Host: t.header.Get("Host"),
		Subprotocols: []string{"derp"}, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		transport.CloseIdleConnections()
		if resp != nil {
			return nil, fmt.Errorf("WebSocket to relay answered %s", resp.Status)
		}
		return nil, err
	}
	c.SetReadLimit(-1) // DERP frames bound themselves
	return websocket.NetConn(life, c, websocket.MessageBinary), nil
}

func mustURL(host string) *url.URL { return &url.URL{Scheme: "http", Host: host, Path: "/derp"} }
