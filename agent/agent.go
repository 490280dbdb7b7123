//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berthdev/berth/agent/host"
	"github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/server/api"
)

// Config configures an Agent.
type Config struct {
	// Client reaches the server; its token is the agent's. Required.
	Client *api.Client

	// StartHost starts the session host of that name, which outlives this
	// process, and returns without waiting for it. Required.
	StartHost func(name string) error

	// Sessions tunes the session host.
	Sessions host.Options

	// Program is the path of coder, by which git in sessions gets at the user's
	// key; "" leaves git alone.
	Program string

	// Status is told in words how the agent is, at first by Run itself; it must
	// not block. Nil is fine.
	Status func(string)

	// MetricsAddress is where the agent's metrics can be read by HTTP on this
	// machine, as host:port; "" is nowhere.
	MetricsAddress string

	// Version is reported to the server; "" means api.Version.
	Version string

	// Log gets what an operator should know; nil discards.
	Log *slog.Logger
}

// Errors that Run ends with because trying again can never help.
var (
	// ErrTokenDead means that the workspace was deleted or rebuilt: the token
	// will never be accepted again.
	ErrTokenDead = errors.New("the agent token is no longer valid")
	// ErrReplaced means that another agent connected with the same token.
	ErrReplaced = errors.New("another agent has connected with the same token")
)

// ErrHandOver as the cause of the end of Run's context leaves the sessions to
// their host, for the agent that follows.
var ErrHandOver = errors.New("another agent takes the sessions over")

// An Agent is one run of the process in a workspace. Use New, then Run once.
type Agent struct {
	cfg       Config
	log       *slog.Logger
	lifecycle *lifecycle
	lines     *lastLines // of the log

	connected atomic.Bool // to the server, now

	mu      sync.Mutex // guards below
	network *network   // nil until the first manifest
}

// New returns an agent that does nothing yet.
func New(cfg Config) *Agent {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Status == nil {
		cfg.Status = func(string) {}
	}
	if cfg.Version == "" {
		cfg.Version = api.Version
	}
	lines := &lastLines{}
	cfg.Log = kept(cfg.Log, lines)
	return &Agent{cfg: cfg, log: cfg.Log, lifecycle: newLifecycle(), lines: lines}
}

// reportGrace is how long a shutdown waits until the server has heard of the
// last state and what led to it.
const reportGrace = 5 * time.Second

// Run serves the workspace until ctx ends, and returns nil then. An error
// means that the agent cannot go on: ErrTokenDead, ErrReplaced, or that the
// node could not be started. The server being away is no error.
//
// Order down: the server learns that the workspace shuts down; users' sessions
// and their host end; the server learns that it is off; the session with the
// server and the node end. With the cause ErrHandOver, and for an agent that was
// replaced, the sessions and their host stay and the server is told nothing.
func (a *Agent) Run(ctx context.Context) error {
	alive, stop := context.WithCancel(context.WithoutCancel(ctx))
	a.cfg.Status("connecting to " + a.cfg.Client.URL.String())
	ended := make(chan error, 1)
	go func() { ended <- a.stayConnected(alive) }()
	var err error
	select {
	case <-ctx.Done():
		if !errors.Is(context.Cause(ctx), ErrHandOver) {
			a.shutDown()
		}
		stop()
		<-ended
	case err = <-ended:
		stop()
		if n := a.currentNetwork(); n != nil && !errors.Is(err, ErrReplaced) {
			n.endSessions()
		}
	}
	return errors.Join(err, a.closeNetwork())
}

func (a *Agent) shutDown() {
	a.log.Info("shutting down")
	a.cfg.Status("shutting down")
	n := a.currentNetwork()
	if n == nil {
		return
	}
	n.endSessions()
	if !a.connected.Load() {
		a.log.Warn("the server is away and was not told that the workspace is off")
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), reportGrace)
	defer cancel()
	if err := a.lifecycle.over(ctx); err != nil {
		a.log.Warn("the server was not told that the workspace is off", "err", err)
	}
}

// Alive returns when it could look into each part that must not stand still. It
// blocks for as long as one does.
func (a *Agent) Alive() {
	if n := a.currentNetwork(); n != nil {
		n.node.Counters()
		n.node.Home()
	}
	a.lifecycle.next()
}

func (a *Agent) currentNetwork() *network {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.network
}

// ensureNetwork makes the node and finds the session host at the first manifest,
// and applies later ones to them.
func (a *Agent) ensureNetwork(ctx context.Context, m *proto.Manifest) (*network, error) {
	home, err := os.UserHomeDir()
	if err == nil {
		a.writeSecrets(m, home) // before anybody can ask for them
	}
	if n := a.currentNetwork(); n != nil {
		return n, n.apply(ctx, m)
	}
	n, err := newNetwork(a.cfg, a.lines, m)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNetwork, err)
	}
	a.mu.Lock()
	a.network = n
	a.mu.Unlock()
	return n, nil
}

func (a *Agent) closeNetwork() error {
	if n := a.currentNetwork(); n != nil {
		return n.Close()
	}
	return nil
}
