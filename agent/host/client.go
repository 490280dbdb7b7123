//go:build linux

package host

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/agent/pty"
	"github.com/berthdev/berth/agent/script"
	"github.com/berthdev/berth/agent/sshd"
)

// ClientConfig configures a Client. Name and Start are required.
type ClientConfig struct {
	// Name is that of Name.
	Name string

	// Start starts a host of that name; it need not wait until it listens.
	// It is called when there is none.
	Start func(name string) error

	// Version is that of this binary: an idle host of another one is replaced.
	Version string

	// Log gets what an operator should know; nil discards.
	Log *slog.Logger
}

// Client is a network half's end of a host, which it starts when there is
// none. Use NewClient, then Attach; the methods may be called concurrently.
type Client struct {
	cfg  ClientConfig
	http *http.Client
	stop context.CancelFunc
	held sync.WaitGroup

	starting sync.Mutex // one start at a time; taken before mu
	ended    bool       // by End; guarded by starting

	mu    sync.Mutex // guards below
	setup Setup
}

// ErrEnded is returned for what needs a host once End has begun.
var ErrEnded = errors.New("the sessions of this machine have ended")

// startTimeout bounds the start of a host.
const startTimeout = 10 * time.Second

// NewClient returns a client that has not dialed yet.
func NewClient(cfg ClientConfig) *Client {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Client{cfg: cfg, stop: func() {}, http: &http.Client{Transport: &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, cfg.Name) },
		MaxIdleConns:    2,
		IdleConnTimeout: time.Minute,
	}}}
}

// Attach finds or starts the host, gives it its setup and stays attached to it,
// and to those that follow it, until Close or End. It blocks for the first.
func (c *Client) Attach(ctx context.Context, s Setup) error {
	c.mu.Lock()
	c.setup = s
	c.mu.Unlock()
	if err := c.ensure(ctx); err != nil {
		return err
	}
	if err := c.replaceIdle(ctx); err != nil {
		return err
	}
	ctx, c.stop = context.WithCancel(context.Background())
	c.held.Go(func() { c.hold(ctx) })
	return nil
}

// Set gives the host another setup. A host that End has ended needs none.
func (c *Client) Set(ctx context.Context, s Setup) error {
	c.mu.Lock()
	c.setup = s
	c.mu.Unlock()
	if c.hasEnded() {
		return nil
	}
	return c.putSetup(ctx)
}

func (c *Client) hasEnded() bool {
	c.starting.Lock()
	defer c.starting.Unlock()
	return c.ended
}

// Close leaves the host, which stays. It may be called twice.
func (c *Client) Close() error {
	c.stop()
	c.held.Wait()
	c.http.CloseIdleConnections()
	return nil
}

// hold keeps one request open, by which the host knows that somebody is here,
// and brings a host back that has died.
func (c *Client) hold(ctx context.Context) {
	for ctx.Err() == nil {
		res, err := c.do(ctx, http.MethodGet, "/attach", nil)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		if ctx.Err() != nil {
			return
		}
		c.cfg.Log.Warn("the session host is gone", "err", err)
		if err := c.ensure(ctx); err != nil {
			c.cfg.Log.Error("the session host does not start", "err", err)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// Dial connects a peer of the tailnet to the host. A host that has died is
// started anew. The connection outlives ctx.
func (c *Client) Dial(ctx context.Context, kind string, remote netip.AddrPort) (net.Conn, error) {
	conn, err := c.dial(ctx, kind, remote)
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return conn, err
	}
	if err := c.ensure(ctx); err != nil {
		return nil, err
	}
	return c.dial(ctx, kind, remote)
}

func (c *Client) dial(ctx context.Context, kind string, remote netip.AddrPort) (net.Conn, error) {
	conn, err := dial(ctx, c.cfg.Name)
	if err != nil {
		return nil, fmt.Errorf("reach the session host: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	in := bufio.NewReader(conn)
	err = upgrade(conn, in, kind, remote)
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect to the session host: %w", err), conn.Close())
	}
	return &userConn{UnixConn: conn.(*net.UnixConn), early: early(in), remote: net.TCPAddrFromAddrPort(remote)}, nil
}

func upgrade(conn net.Conn, in *bufio.Reader, kind string, remote netip.AddrPort) error {
	_, err := fmt.Fprintf(conn, "POST /connect/%s HTTP/1.1\r\nHost: session-host\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s: %s\r\n\r\n",
		kind, upgradeTo, remoteHeader, remote)
	if err != nil {
		return err
	}
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		return refused(res)
	}
	return nil
}

// State asks what the host keeps.
func (c *Client) State(ctx context.Context) (State, error) { return get[State](ctx, c, "/state") }

// Events waits for events whose number is above done, and lets the host forget
// the others.
func (c *Client) Events(ctx context.Context, done uint64) ([]Numbered[sshd.Event], error) {
	return get[[]Numbered[sshd.Event]](ctx, c, fmt.Sprintf("/events?after=%d", done))
}

// ScriptEvents is Events for what scripts do.
func (c *Client) ScriptEvents(ctx context.Context, done uint64) ([]Numbered[script.Event], error) {
	return get[[]Numbered[script.Event]](ctx, c, fmt.Sprintf("/script-events?after=%d", done))
}

// Login asks what a login gets.
func (c *Client) Login(ctx context.Context) (sshd.Shell, error) {
	return get[sshd.Shell](ctx, c, "/login")
}

// Terminals lists the terminals.
func (c *Client) Terminals(ctx context.Context) ([]pty.Info, error) {
	return get[[]pty.Info](ctx, c, "/terminals")
}

// KillTerminal ends a terminal and its program.
func (c *Client) KillTerminal(ctx context.Context, id uuid.UUID) error {
	res, err := c.do(ctx, http.MethodDelete, "/terminals/"+id.String(), nil)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	var v T
	res, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return v, err
	}
	defer res.Body.Close()
	return v, json.NewDecoder(res.Body).Decode(&v)
}

// End ends every session, runs the scripts of the stop, ends the host, and
// returns when all of that is over: the events of scripts that followed done.
// No host is started from its beginning on: people's clients dial again at once
// when their sessions end.
func (c *Client) End(ctx context.Context, done uint64) ([]Numbered[script.Event], error) {
	c.starting.Lock()
	c.ended = true
	c.starting.Unlock()
	c.stop()
	c.held.Wait()
	return c.end(ctx, true, done)
}

func (c *Client) end(ctx context.Context, stop bool, done uint64) (left []Numbered[script.Event], err error) {
	defer c.http.CloseIdleConnections()
	res, err := c.do(ctx, http.MethodPost, fmt.Sprintf("/end?stop=%t&after=%d", stop, done), nil)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	err = json.NewDecoder(res.Body).Decode(&left)
	_ = res.Body.Close()
	return left, errors.Join(err, poll(ctx, func() (done bool) {
		conn, err := dial(ctx, c.cfg.Name)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}))
}

// poll asks until it is done or ctx ends: nobody tells of a name that is bound
// or free.
func poll(ctx context.Context, done func() bool) error {
	for wait := time.Millisecond; !done(); wait = min(2*wait, 100*time.Millisecond) {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("wait for the session host: %w", ctx.Err())
		}
	}
	return nil
}

func (c *Client) putSetup(ctx context.Context) error {
	c.mu.Lock()
	raw, err := json.Marshal(c.setup)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	res, err := c.do(ctx, http.MethodPut, "/setup", raw)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// ensure starts a host where there is none, and gives it its setup.
func (c *Client) ensure(ctx context.Context) error {
	c.starting.Lock()
	defer c.starting.Unlock()
	if c.ended {
		return ErrEnded
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err := c.putSetup(ctx)
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	if err := c.cfg.Start(c.cfg.Name); err != nil {
		return fmt.Errorf("start the session host: %w", err)
	}
	return errors.Join(poll(ctx, func() bool {
		err = c.putSetup(ctx)
		return !errors.Is(err, syscall.ECONNREFUSED)
	}), err)
}

// replaceIdle ends a host of another version that keeps nothing, not even an
// event that nobody has heard of, so that an upgrade reaches both halves.
func (c *Client) replaceIdle(ctx context.Context) error {
	s, err := c.State(ctx)
	if err != nil || s.Version == c.cfg.Version || !s.Idle() || s.Untold > 0 {
		return err
	}
	c.cfg.Log.Info("replacing the idle session host of another version", "version", s.Version)
	if _, err := c.end(ctx, false, math.MaxUint64); err != nil {
		return err
	}
	c.mu.Lock()
	c.setup.Phase = s.Phase
	c.mu.Unlock()
	return c.ensure(ctx)
}

func (c *Client) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://session-host"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the session host: %w", err)
	}
	if res.StatusCode >= http.StatusBadRequest {
		defer res.Body.Close()
		return nil, refused(res)
	}
	return res, nil
}

// refused is the error that the host answered.
func refused(res *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	return fmt.Errorf("the session host says %s: %s", res.Status, bytes.TrimSpace(text))
}
