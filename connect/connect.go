// Package connect reaches one agent from a client: it makes a node of the
// tailnet, keeps it informed by the server, and dials.
//
// Everything that can go at once does, because on a slow line the time to the
// first byte is made of round trips. Open needs no agent: it asks for the
// relays and opens the control connection while the caller still asks which
// agent it wants. Reach then has all that it needs:
//
//	round trip  1   TCP (and one more for TLS)
//	            2   GET workspace | GET connection | WebSocket
//	            3   relay: TCP    | tunnel, record of the agent, its ready
//	            4   relay: TLS
//	            5   WireGuard handshake through the relay
//	            6   TCP of the session
//
// After that, the node and its flows depend on the server no more: they go on
// while it is away, for any time, and the control connection comes back by
// itself under the same peer id.
package connect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/tailnet"
	"github.com/berthdev/berth/tailnet/derpmap"
)

// Config tunes a Conn. Client is required, the rest may be zero.
type Config struct {
	// Client calls the server; it should keep connections open, so that a call
	// and the WebSocket that follows can share one.
	Client *api.Client

	// BlockDirect uses relays only, also where the server allows direct paths.
	BlockDirect bool

	// ForceWebSockets reaches relays by WebSocket only.
	ForceWebSockets bool

	// Logger gets what happens; nil discards it.
	Logger *slog.Logger
}

// Conn is a way to one agent. Once Reach has returned, its methods may be
// called concurrently.
type Conn struct {
	cfg  Config
	log  *slog.Logger
	work context.CancelFunc // ends the control loop, which then says goodbye
	life context.CancelFunc // ends its sockets
	once sync.Once

	resume resumption
	http   *http.Client // to the agent

	loop  sync.WaitGroup
	early sync.WaitGroup
	info  chan result[api.ConnectionInfo]
	first chan result[*session]

	// Set by Reach.
	node       *tailnet.Node
	control    *tailnet.Control
	agent      uuid.UUID
	addr       netip.Addr
	relays     *derpmap.Map
	programmed chan struct{} // closed when the agent can be dialed
	known      sync.Once
	barred     chan struct{} // closed when the server shuts the user out
	barredBy   error         // set before
}

type result[T any] struct {
	value T
	err   error
}

// Open begins to ask for what every connection needs. It does not block. The
// caller calls Reach, and Close in any case.
func Open(cfg Config) *Conn {
	life, endLife := context.WithCancel(context.Background())
	c := &Conn{
		cfg: cfg, log: cfg.Logger, life: endLife, work: func() {},
		info: make(chan result[api.ConnectionInfo], 1), first: make(chan result[*session], 1),
		programmed: make(chan struct{}), barred: make(chan struct{}),
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.http = c.agentAPI()
	c.early.Go(func() {
		info, err := cfg.Client.AnyConnectionInfo(life)
		c.info <- result[api.ConnectionInfo]{info, err}
	})
	c.early.Go(func() {
		s, err := dialTailnet(life, cfg.Client, "")
		c.first <- result[*session]{s, err}
	})
	return c
}

// Reach makes the node and connects it to the server, so that agent can be
// dialed. It is called once. An error of the kind that trying again does not
// mend, such as an unknown agent, is returned; for others it tries again until
// ctx ends. That the agent is there is not awaited. Without one, uuid.Nil, the node
// joins the tailnet and reaches nobody, for Report.
func (c *Conn) Reach(ctx context.Context, agent uuid.UUID) error {
	info, err := c.connectionInfo(ctx, agent)
	if err != nil {
		return fmt.Errorf("ask how to reach the workspace: %w", err)
	}
	if err := c.start(info, agent); err != nil {
		return err
	}
	s, err := c.firstSession(ctx, agent)
	if err != nil {
		return fmt.Errorf("ask the server for the workspace's node: %w", err)
	}
	work, stop := context.WithCancel(context.Background())
	c.work = stop
	c.loop.Go(func() { c.follow(work, s) })
	return nil
}

// connectionInfo takes the early answer, or asks in the way of older servers.
func (c *Conn) connectionInfo(ctx context.Context, agent uuid.UUID) (api.ConnectionInfo, error) {
	select {
	case r := <-c.info:
		if api.StatusCode(r.err) != http.StatusNotFound {
			return r.value, r.err
		}
		return c.cfg.Client.ConnectionInfo(ctx, agent)
	case <-ctx.Done():
		return api.ConnectionInfo{}, ctx.Err()
	}
}

func (c *Conn) start(info api.ConnectionInfo, agent uuid.UUID) error {
	if info.DERPMap == nil {
		return errors.New("the server named no relay")
	}
	relays, err := info.DERPMap.Via(c.cfg.Client.URL)
	if err == nil {
		err = relays.Check()
	}
	if err != nil {
		return fmt.Errorf("the server's relays: %w", err)
	}
	c.agent, c.addr, c.relays = agent, tailnet.AddressFor(agent), relays
	var destinations []uuid.UUID
	if agent != uuid.Nil {
		destinations = []uuid.UUID{agent}
	}
	c.control = tailnet.NewControl(tailnet.ControlConfig{
		Access: c.cfg.Client.URL, Destinations: destinations, Logger: c.log,
		Programmed: func(uuid.UUID) { c.known.Do(func() { close(c.programmed) }) },
	})
	c.node, err = tailnet.New(tailnet.Config{
		Addresses: []netip.Prefix{tailnet.RandomAddress()}, DERPMap: relays, Self: c.control.Self,
		BlockDirect:     c.cfg.BlockDirect || info.DisableDirectConnections,
		ForceWebSockets: c.cfg.ForceWebSockets || info.DERPForceWebSockets,
		Header:          c.cfg.Client.Header, TLS: c.cfg.Client.TLS, Logger: c.log,
	})
	return err
}

// Close ends the connections over the node, the node and the connection to
// the server. It may be called twice.
func (c *Conn) Close() error {
	var err error
	c.once.Do(func() {
		// Flows first, so that the agent hears of their end; then the
		// coordinator; then the sockets.
		c.http.CloseIdleConnections()
		if c.node != nil {
			err = c.node.Close()
		}
		c.work()
		c.loop.Wait()
		c.life()
		c.early.Wait()
		select {
		case r := <-c.first:
			r.value.close()
		default:
		}
	})
	return err
}
