// Package derp is the relay: it carries WireGuard packets between peers that
// cannot reach each other, and tells peers their public address by STUN.
//
// It serves DERP version 2 as tailscale.com/derp specifies it, in three ways:
// at /derp of any HTTP server (Handler; by "Upgrade: DERP" or as a WebSocket of
// the subprotocol "derp"), and over TLS with a pinned certificate on a listener
// of its own (ServeTLS) or on the main port, which Split shares between TLS and
// plain HTTP.
//
// Upstream's derpserver decides where packets go. This package adds what it
// lacks: a client is admitted only if Config.Admit says so and it holds its
// key, and what is sent to a client goes through a fair queue (queue.go), so
// that nobody's keystrokes wait behind another's download. Which keys are known
// is the duty of package coordinator, which relay to use that of tailnet.
package derp

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"tailscale.com/derp/derpserver"
	"tailscale.com/metrics"
	"tailscale.com/types/key"
)

// Config tunes a Relay. The zero value is a relay with fresh keys that serves
// any client.
type Config struct {
	// Keys are the relay's own; nil makes new ones.
	Keys *Keys
	// Admit reports why a client may not connect, or nil. The client has proven
	// to hold the key. It is called once per connection and may block; its
	// context ends after 15 s. nil admits all.
	Admit func(ctx context.Context, node key.NodePublic, from netip.AddrPort) error
	// MeshKey, 64 hexadecimal digits, lets other relays of the region watch and
	// forward; they are not asked to be admitted. "" means there are none.
	MeshKey string
	// Logger may be nil.
	Logger *slog.Logger
}

// Relay is a relay. Close it.
type Relay struct {
	cfg   Config
	keys  *Keys
	log   *slog.Logger
	derp  *derpserver.Server
	vars  *metrics.Set // derpserver's counters
	stats counters

	clients clients

	ctx    context.Context // ends with Close: the parent of what clients wait for
	cancel context.CancelFunc

	mu      sync.Mutex // guards below
	closed  bool
	closers map[*closer]bool // servers and sockets that serve until Close
	serving sync.WaitGroup
}

// closer ends one Serve call.
type closer struct{ close func() error }

// New returns a relay that serves nothing yet.
func New(cfg Config) (*Relay, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	keys := cfg.Keys
	if keys == nil {
		var err error
		if keys, err = GenerateKeys(); err != nil {
			return nil, err
		}
	}
	r := &Relay{cfg: cfg, keys: keys, log: cfg.Logger, closers: map[*closer]bool{}}
	r.derp = derpserver.New(keys.Node, func(string, ...any) {}) // it logs each client's end, with addresses
	if cfg.MeshKey != "" {
		if err := r.derp.SetMeshKey(cfg.MeshKey); err != nil {
			return nil, fmt.Errorf("set mesh key of relay: %w", err)
		}
	}
	r.vars, _ = r.derp.ExpVar(false).(*metrics.Set)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r, nil
}

// Keys returns the relay's keys.
func (r *Relay) Keys() *Keys { return r.keys }

// Close ends all connections and Serve calls and waits for them. It may be
// called twice.
func (r *Relay) Close() error {
	r.mu.Lock()
	r.closed = true
	closers := r.closers
	r.closers = nil
	r.mu.Unlock()
	r.cancel()
	var first error
	for c := range closers {
		if err := c.close(); err != nil && first == nil {
			first = err
		}
	}
	if err := r.derp.Close(); err != nil && first == nil {
		first = err
	}
	r.serving.Wait()
	return first
}

// enter counts a goroutine in, unless the relay was closed.
func (r *Relay) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.serving.Add(1)
	}
	return !r.closed
}

// until registers what ends a Serve call; undo takes it back.
func (r *Relay) until(end func() error) (undo func(), ok bool) {
	c := &closer{end}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, false
	}
	r.closers[c] = true
	r.serving.Add(1)
	return func() {
		r.mu.Lock()
		delete(r.closers, c)
		r.mu.Unlock()
		r.serving.Done()
	}, true
}

// ServeTLS serves Handler over TLS under the relay's own certificate until
// Close, which makes it return nil. It closes ln.
func (r *Relay) ServeTLS(ln net.Listener) error {
	s := &http.Server{
		Handler: r.Handler(), TLSConfig: r.TLSConfig(),
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: 16 << 10,
		ErrorLog: r.garbageLog("tls"),
		// No HTTP/2: its streams cannot be upgraded.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	undo, ok := r.until(s.Close)
	if !ok {
		return ln.Close()
	}
	defer undo()
	if err := s.ServeTLS(ln, "", ""); err != http.ErrServerClosed {
		return fmt.Errorf("serve relay on %s: %w", ln.Addr(), err)
	}
	return nil
}

// TLSConfig returns the configuration of a TLS server under the relay's own
// certificate. With it goes a certificate that tells the relay's node key,
// which saves the client a round trip.
func (r *Relay) TLSConfig() *tls.Config {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &r.keys.Certificate, nil },
	}
	r.derp.ModifyTLSConfigToAddMetaCert(cfg)
	return cfg
}
