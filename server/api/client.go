package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// requestTimeout bounds one call, body included. Follow streams and
// WebSockets are not bound by it.
const requestTimeout = 30 * time.Second

// maxBody bounds what is read of a successful answer.
const maxBody = 32 << 20

// Client calls a server. It may be copied before its first use and is safe for
// concurrent use afterwards.
type Client struct {
	// URL is the access URL, without a trailing slash in its path.
	URL *url.URL
	// Token is a session, API or agent token; empty calls without one.
	Token string
	// Header is added to every request and WebSocket handshake.
	Header http.Header
	// TLS is how connections are secured that HTTP does not make, as to relays;
	// nil trusts the authorities of the system and shows no certificate.
	TLS *tls.Config
	// HTTP makes the requests; nil means http.DefaultClient. See Transport. A
	// client without a CheckRedirect follows redirects only within the server's
	// host and never from https to http: the token would go along.
	HTTP *http.Client
}

// ParseURL reads an access URL as people type it: a missing scheme is https,
// or http for a loopback name. It refuses what cannot be one.
func ParseURL(text string) (*url.URL, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, fmt.Errorf("the URL of the server is empty")
	}
	if !strings.Contains(text, "://") {
		text = schemeFor(text) + "://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("parse the URL of the server: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("the URL of the server has the scheme %q, want http or https", u.Scheme)
	}
	if u.Hostname() == "" || u.User != nil {
		return nil, fmt.Errorf("the URL of the server must be like https://berth.example.com")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimRight(u.Path, "/")}, nil
}

func schemeFor(host string) string {
	name, _, _ := strings.Cut(host, "/")
	if name = strings.ToLower(name); name == "localhost" || strings.HasPrefix(name, "localhost:") ||
		strings.HasPrefix(name, "127.") || strings.HasPrefix(name, "[::1]") {
		return "http"
	}
	return "https"
}

func (c *Client) get(ctx context.Context, path string, out any) error {
	return c.call(ctx, http.MethodGet, path, nil, out)
}

func (c *Client) post(ctx context.Context, path string, in, out any) error {
	return c.call(ctx, http.MethodPost, path, in, out)
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode the request of %s %s: %w", method, path, err)
		}
		body = bytes.NewReader(raw)
	}
	res, err := c.request(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return responseError(res)
	}
	if out == nil || res.StatusCode == http.StatusNoContent {
		return nil
	}
	if kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); kind != "application/json" {
		return responseError(res)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxBody)).Decode(out); err != nil {
		return fmt.Errorf("decode the answer of %s %s: %w", method, path, err)
	}
	return nil
}

func (c *Client) request(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.at(path).String(), body)
	if err != nil {
		return nil, err
	}
	req.Header = c.headers()
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http().Do(req)
	if err != nil {
		return nil, fmt.Errorf("reach the server: %w", err)
	}
	return res, nil
}

// at resolves a path, with its query, below the access URL.
func (c *Client) at(path string) *url.URL {
	path, query, _ := strings.Cut(path, "?")
	u := *c.URL
	u.RawPath = u.EscapedPath() + path
	u.Path, _ = url.PathUnescape(u.RawPath)
	u.RawQuery = query
	return &u
}

func (c *Client) headers() http.Header {
	h := c.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	if c.Token != "" {
		h.Set(HeaderToken, c.Token)
	}
	return h
}

func (c *Client) http() *http.Client {
	own := *http.DefaultClient
	if c.HTTP != nil {
		own = *c.HTTP
	}
	if own.CheckRedirect == nil {
		own.CheckRedirect = sameServer
	}
	return &own
}

// maxRedirects is that of net/http, which a CheckRedirect replaces.
const maxRedirects = 10

// sameServer refuses redirects that would show the token to another host, or
// to everybody on the way. net/http drops only the headers that it knows.
func sameServer(req *http.Request, via []*http.Request) error {
	from := via[len(via)-1].URL
	switch {
	case len(via) >= maxRedirects:
		return fmt.Errorf("the server redirected %d times", maxRedirects)
	case req.URL.Hostname() != from.Hostname():
		return fmt.Errorf("the server redirects to another host, %q: use its URL if it is the right one", req.URL.Host)
	case from.Scheme == "https" && req.URL.Scheme != "https":
		return fmt.Errorf("the server redirects from https to %s", req.URL.Scheme)
	}
	return nil
}

// maxHandshake bounds a WebSocket handshake.
const maxHandshake = 30 * time.Second

// dial opens a WebSocket. A refusal is an *Error.
func (c *Client) dial(ctx context.Context, path string) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, maxHandshake)
	defer cancel()
	ws, res, err := websocket.Dial(ctx, c.at(path).String(), &websocket.DialOptions{
		HTTPClient:      c.http(),
		HTTPHeader:      c.headers(),
		CompressionMode: websocket.CompressionDisabled,
	})
	if err == nil {
		return ws, nil
	}
	if res != nil && res.StatusCode != http.StatusSwitchingProtocols {
		defer res.Body.Close()
		return nil, responseError(res)
	}
	return nil, fmt.Errorf("reach the server: %w", err)
}
