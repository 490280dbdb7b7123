package tailnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/berthdev/berth/tailnet/derpmap"
	"github.com/berthdev/berth/tailnet/proto"
)

// ControlConfig configures a Control.
type ControlConfig struct {
	// Access is the URL by which this node reaches the server, and with it the
	// relays that are part of the server. Required.
	Access *url.URL

	// Agent says that the node is an agent's: it answers peers when it is ready
	// for their handshake, and opens no tunnels.
	Agent bool

	// Destinations are the agents that a client wants to reach at first; see
	// Control.Want.
	Destinations []uuid.UUID

	// Programmed is called by Run after a peer was made known to the node,
	// which can be dialed from then on. It must not block; nil is fine.
	Programmed func(peer uuid.UUID)

	// Logger gets what went wrong with single peers; nil discards it.
	Logger *slog.Logger
}

// Control tells a node what the coordinator says of its peers, and the
// coordinator what the node says of itself. It outlives connections to the
// server: peers stay while there is none.
type Control struct {
	cfg     ControlConfig
	log     *slog.Logger
	changed chan struct{} // 1: there is a newer record
	asked   chan struct{} // 1: there are other destinations

	mu     sync.Mutex // guards below
	self   *proto.Node
	wanted map[uuid.UUID]bool

	state *controlState // used by Run only
}

// NewControl returns a Control for one node. Give its Self to the node's
// Config, then call Run for each connection to the server, one at a time.
func NewControl(cfg ControlConfig) *Control {
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Control{
		cfg: cfg, log: log, changed: make(chan struct{}, 1), asked: make(chan struct{}, 1),
		wanted: map[uuid.UUID]bool{}, state: newControlState(cfg.Agent),
	}
	for _, id := range cfg.Destinations {
		c.wanted[id] = true
	}
	return c
}

// Self takes a new record of the node itself. It does not block.
func (c *Control) Self(rec *proto.Node) {
	c.mu.Lock()
	c.self = rec
	c.mu.Unlock()
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *Control) ownRecord() *proto.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.self
}

// hangUpWait is how long an agent that leaves waits for the coordinator's last
// word. Clients do not wait: somebody sits before them.
const hangUpWait = time.Second

// Run serves one connection to the server until it breaks, which is an error,
// or ctx ends, which is not: then the coordinator is told that the node leaves.
// Peers are kept in either case.
func (c *Control) Run(ctx context.Context, node *Node, client proto.DRPCTailnetClient) error {
	alive, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	stream, err := client.Coordinate(alive)
	if err != nil {
		return fmt.Errorf("open coordinate stream: %w", err)
	}
	maps, err := client.StreamDERPMaps(alive, &proto.StreamDERPMapsRequest{})
	if err != nil {
		return fmt.Errorf("open relay map stream: %w", err)
	}
	responses := make(chan *proto.CoordinateResponse)
	g, gctx := errgroup.WithContext(alive)
	g.Go(func() error { return receive(gctx, stream, responses) })
	g.Go(func() error { return c.followMaps(maps, node) })
	g.Go(func() error {
		defer hangUp()
		return c.drive(ctx, gctx, node, stream, responses)
	})
	err = g.Wait()
	c.loseAll(node)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// receive hands on what the coordinator sends.
func receive(ctx context.Context, stream proto.DRPCTailnet_CoordinateClient, to chan<- *proto.CoordinateResponse) error {
	for {
		res, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("coordinate stream: %w", err)
		}
		select {
		case to <- res:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// followMaps gives the node each map of relays that it can use.
func (c *Control) followMaps(stream proto.DRPCTailnet_StreamDERPMapsClient, node *Node) error {
	for {
		msg, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("relay map stream: %w", err)
		}
		m, err := derpmap.FromProto(msg).Via(c.cfg.Access)
		if err == nil {
			err = node.SetDERPMap(m)
		}
		if err != nil {
			c.log.Warn("ignored a relay map", "err", err)
		}
	}
}

// drive is the loop that sends: ctx ends with the node's work, gctx with the
// connection.
func (c *Control) drive(ctx, gctx context.Context, node *Node, stream proto.DRPCTailnet_CoordinateClient, responses <-chan *proto.CoordinateResponse) error {
	if err := c.introduce(stream); err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return c.leave(gctx, stream, responses)
		case <-gctx.Done():
			return gctx.Err()
		case <-c.changed:
			if err := send(stream, &proto.CoordinateRequest{UpdateSelf: &proto.CoordinateRequest_UpdateSelf{Node: c.ownRecord()}}); err != nil {
				return err
			}
		case <-c.asked:
			if err := c.retarget(stream); err != nil {
				return err
			}
		case res := <-responses:
			if err := c.heed(node, stream, res); err != nil {
				return err
			}
		case <-timer.C:
			if err := c.act(node, stream, c.state.tick(time.Now(), node.handshakeOf)); err != nil {
				return err
			}
		}
		if at := c.state.due(); !at.IsZero() {
			timer.Reset(time.Until(at))
		}
	}
}

// introduce says who the node is and whom it wants to reach, the first of them
// in the same message.
func (c *Control) introduce(stream proto.DRPCTailnet_CoordinateClient) error {
	select {
	case <-c.changed:
	default:
	}
	first := &proto.CoordinateRequest{}
	if rec := c.ownRecord(); rec != nil {
		first.UpdateSelf = &proto.CoordinateRequest_UpdateSelf{Node: rec}
	}
	add, _ := c.state.retarget(c.destinations(), true)
	for i, id := range add {
		req := &proto.CoordinateRequest{}
		if i == 0 {
			req = first
		}
		req.AddTunnel = tunnelTo(id)
		if err := send(stream, req); err != nil {
			return err
		}
	}
	if len(add) == 0 && first.UpdateSelf != nil {
		return send(stream, first)
	}
	return nil
}

func send(stream proto.DRPCTailnet_CoordinateClient, req *proto.CoordinateRequest) error {
	if err := stream.Send(req); err != nil {
		return fmt.Errorf("coordinate stream: %w", err)
	}
	return nil
}

func (c *Control) heed(node *Node, stream proto.DRPCTailnet_CoordinateClient, res *proto.CoordinateResponse) error {
	if text := res.GetError(); text != "" {
		c.log.Warn("the coordinator refused", "reason", clip(text))
	}
	var do []controlAction
	for _, u := range res.GetPeerUpdates() {
		id, err := uuid.FromBytes(u.GetId())
		if err != nil {
			return errors.New("the coordinator sent a peer without an id")
		}
		do = append(do, c.state.update(time.Now(), id, u, node.handshakeOf(id))...)
	}
	return c.act(node, stream, do)
}

// act carries out decisions; peers that were programmed are answered in one
// message.
func (c *Control) act(node *Node, stream proto.DRPCTailnet_CoordinateClient, do []controlAction) error {
	var ready []*proto.CoordinateRequest_ReadyForHandshake
	for _, a := range do {
		switch {
		case a.remove:
			node.RemovePeer(a.id)
			continue
		case a.hangUp:
			node.HangUp(a.id)
			continue
		}
		if err := node.SetPeer(a.id, a.program); err != nil {
			c.log.Warn("ignored the record of a peer", "peer", a.id, "err", err)
			continue
		}
		if c.cfg.Programmed != nil {
			c.cfg.Programmed(a.id)
		}
		if a.answer {
			ready = append(ready, &proto.CoordinateRequest_ReadyForHandshake{Id: slices.Clone(a.id[:])})
		}
	}
	if len(ready) == 0 {
		return nil
	}
	return send(stream, &proto.CoordinateRequest{ReadyForHandshake: ready})
}

// leave tells the coordinator that the node is going, and for an agent waits
// until it has heard.
func (c *Control) leave(ctx context.Context, stream proto.DRPCTailnet_CoordinateClient, responses <-chan *proto.CoordinateResponse) error {
	if err := send(stream, &proto.CoordinateRequest{Disconnect: &proto.CoordinateRequest_Disconnect{}}); err != nil || !c.cfg.Agent {
		return err
	}
	limit := time.NewTimer(hangUpWait)
	defer limit.Stop()
	for {
		select {
		case <-responses:
		case <-ctx.Done():
			return nil
		case <-limit.C:
			return nil
		}
	}
}

// loseAll treats every peer as lost: who is there is not known any more.
func (c *Control) loseAll(node *Node) {
	for id := range c.state.peers {
		c.state.lose(time.Now(), id, node.handshakeOf(id))
	}
}

// handshakeOf is the time of the last handshake with a peer, or zero.
func (n *Node) handshakeOf(id uuid.UUID) time.Time {
	at, _ := n.LastHandshake(id)
	return at
}

// clip bounds a text of the other side for the log.
func clip(text string) string {
	const most = 200
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
