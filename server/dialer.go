package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/google/uuid"
	"storj.io/drpc/drpcmux"

	"github.com/berthdev/berth/connect"
	"github.com/berthdev/berth/coordinator"
	"github.com/berthdev/berth/tailnet"
	"github.com/berthdev/berth/tailnet/proto"
	"github.com/berthdev/berth/tailnet/wire"
)

const (
	// agentKept is how long the tunnel to an agent outlives the last
	// connection over it: somebody who comes back needs no handshake.
	agentKept = 30 * time.Minute
	// rejoinPause is the wait before the server's peer joins its own
	// coordinator again, which throws out only who is slow.
	rejoinPause = time.Second
)

// errNotThere says that an agent did not come to the tailnet in time.
var errNotThere = errors.New("the agent is not connected")

// dialer reaches agents for the server itself, by their id and by nothing else:
// it has a node of its own on the tailnet, in this process, which is made when
// the first agent is dialed.
type dialer struct {
	access      *url.URL // of our own listener
	maps        *coordinator.Maps
	coordinator *coordinator.Coordinator
	mux         *drpcmux.Mux // muxes.client
	blockDirect bool
	log         *slog.Logger

	making sync.Mutex // one node is made; taken before mu

	mu      sync.Mutex // guards below
	own     *ownNode   // nil before the first dial
	wanted  map[uuid.UUID]*destination
	stopped bool
}

// ownNode is the server's place on the tailnet.
type ownNode struct {
	*tailnet.Node
	control *tailnet.Control
	leave   context.CancelFunc
	joined  sync.WaitGroup
}

// destination is an agent that is, or was just now, connected to.
type destination struct {
	known chan struct{} // closed when it can be dialed
	once  sync.Once
	users int
	idle  *time.Timer // runs while there are no users
}

// dial connects to a port of an agent. It waits for the agent until ctx ends;
// errNotThere then. The caller has checked that the agent may be dialed, and
// closes the connection, which outlives ctx.
func (d *dialer) dial(ctx context.Context, agent uuid.UUID, port uint16) (net.Conn, error) {
	own, err := d.node()
	if err != nil {
		return nil, err
	}
	known := d.hold(own, agent)
	release := sync.OnceFunc(func() { d.release(agent) })
	select {
	case <-known:
	case <-ctx.Done():
		release()
		return nil, errNotThere
	}
	conn, err := connect.DialTCP(ctx, own.Node, netip.AddrPortFrom(tailnet.AddressFor(agent), port))
	if err != nil {
		release()
		return nil, err
	}
	return &heldConn{conn, release}, nil
}

// heldConn keeps the tunnel to its agent.
type heldConn struct {
	net.Conn
	release func()
}

// Close implements net.Conn.
func (c *heldConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// hold wants the agent for one more user.
func (d *dialer) hold(own *ownNode, agent uuid.UUID) (known <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	dst := d.wanted[agent]
	if dst == nil {
		dst = &destination{known: make(chan struct{})}
		d.wanted[agent] = dst
		own.control.Want(agent, true)
	} else if dst.users == 0 {
		dst.idle.Stop()
	}
	dst.users++
	return dst.known
}

func (d *dialer) release(agent uuid.UUID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	dst := d.wanted[agent]
	if dst.users--; dst.users == 0 && !d.stopped {
		dst.idle = time.AfterFunc(agentKept, func() { d.forget(agent, dst) })
	}
}

// forget closes the tunnel to an agent that nobody has used again.
func (d *dialer) forget(agent uuid.UUID, dst *destination) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.wanted[agent] == dst && dst.users == 0 && !d.stopped {
		delete(d.wanted, agent)
		d.own.control.Want(agent, false)
	}
}

// programmed is told of each agent that can be dialed.
func (d *dialer) programmed(agent uuid.UUID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if dst := d.wanted[agent]; dst != nil {
		dst.once.Do(func() { close(dst.known) })
	}
}

// node is the server's own, made at the first call.
func (d *dialer) node() (*ownNode, error) {
	d.making.Lock()
	defer d.making.Unlock()
	d.mu.Lock()
	own, stopped := d.own, d.stopped
	d.mu.Unlock()
	switch {
	case stopped:
		return nil, errStopping
	case own != nil:
		return own, nil
	}
	own, err := d.join()
	if err != nil {
		return nil, fmt.Errorf("join the tailnet: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.own, d.wanted = own, map[uuid.UUID]*destination{}
	return own, nil
}

// join makes the node and has it known to the coordinator.
func (d *dialer) join() (*ownNode, error) {
	m, _ := d.maps.Watch()
	relays, err := m.Via(d.access)
	if err == nil {
		err = relays.Check()
	}
	if err != nil {
		return nil, err
	}
	own := &ownNode{control: tailnet.NewControl(tailnet.ControlConfig{Access: d.access, Programmed: d.programmed, Logger: d.log})}
	own.Node, err = tailnet.New(tailnet.Config{
		Addresses: []netip.Prefix{tailnet.RandomAddress()}, DERPMap: relays, Self: own.control.Self,
		BlockDirect: d.blockDirect, Logger: d.log,
	})
	if err != nil {
		return nil, err
	}
	ctx, leave := context.WithCancel(context.Background())
	own.leave = leave
	own.joined.Go(func() { d.stayJoined(ctx, own) })
	return own, nil
}

// stayJoined holds a session with our own coordinator until ctx ends.
func (d *dialer) stayJoined(ctx context.Context, own *ownNode) {
	peer := coordinator.Peer{ID: uuid.New(), Name: "server", Role: coordinator.Server}
	for ctx.Err() == nil {
		if err := d.session(ctx, own, peer); err != nil {
			d.log.Warn("the server's own peer was thrown out", "err", err)
		}
		select {
		case <-time.After(rejoinPause):
		case <-ctx.Done():
		}
	}
}

// session serves the coordinator's calls over a pipe within this process: both
// ends are those of any other peer.
func (d *dialer) session(ctx context.Context, own *ownNode, peer coordinator.Peer) error {
	near, far := net.Pipe()
	calls := &services{mux: d.mux, tailnet: &coordinator.Service{Coordinator: d.coordinator, Maps: d.maps, Peer: peer}}
	server := wire.NewServer(far)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(context.WithoutCancel(ctx), calls) }) // why it ended is for the near end
	defer serving.Wait()
	defer server.Close()
	conn, err := wire.NewClient(near)
	if err != nil {
		return err
	}
	defer conn.Close()
	return own.control.Run(ctx, own.Node, proto.NewDRPCTailnetClient(conn))
}

// close ends all connections to agents. It may be called twice, and without
// any dial.
func (d *dialer) close() error {
	d.making.Lock()
	defer d.making.Unlock()
	d.mu.Lock()
	own, stopped := d.own, d.stopped
	d.stopped = true
	for _, dst := range d.wanted {
		if dst.idle != nil {
			dst.idle.Stop()
		}
	}
	d.mu.Unlock()
	if own == nil || stopped {
		return nil
	}
	err := own.Node.Close() // flows first, so that agents hear of their end
	own.leave()
	own.joined.Wait()
	return err
}
