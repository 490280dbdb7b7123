package coordinator

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"
	pb "google.golang.org/protobuf/proto"

	"github.com/berthdev/berth/tailnet/proto"
)

// maxResponseBytes bounds one response: dRPC refuses messages over 4 MiB.
const maxResponseBytes = 3 << 20

// errLeft ends the connection of a peer that said goodbye.
var errLeft = errors.New("peer left")

// conn is one connection: a bounded queue of what to tell the peer, and the
// reason for its end. It has a goroutine only while there is something to tell.
type conn struct {
	c      *Coordinator
	peer   Peer
	id     Conn
	stream Stream

	mu      sync.Mutex
	queue   []note
	err     error
	telling bool          // tell runs
	gone    chan struct{} // closed when the connection has ended; nil if nobody waits
}

// put queues what one event tells the peer, or ends the connection if too much
// waits already, and reports whether it has not. The first batch of a peer with
// many tunnels thus always fits.
func (c *conn) put(notes []note) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil && !errors.Is(c.err, ErrClosed) {
		return true
	}
	if len(c.queue) >= c.c.cfg.QueueLen {
		c.c.stats.dropped.Add(1)
		c.stopLocked(ErrSlow)
		return false
	}
	c.queue = append(c.queue, notes...)
	c.tellLocked()
	return true
}

// stop ends the connection; only the first cause counts.
func (c *conn) stop(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopLocked(cause)
}

func (c *conn) stopLocked(cause error) {
	if c.err == nil {
		c.err = cause
		c.tellLocked()
	}
}

// cause returns why the connection ended, or nil.
func (c *conn) cause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *conn) take() []note {
	c.mu.Lock()
	defer c.mu.Unlock()
	notes := c.queue
	c.queue = nil
	return notes
}

// tellLocked lets a goroutine do what there is to do. Coordinator.serving counts
// the connection until that goroutine has ended it.
func (c *conn) tellLocked() {
	if !c.telling {
		c.telling = true
		go c.tell()
	}
}

// tell sends what is queued, and ends the connection when it was stopped.
func (c *conn) tell() {
	for c.toTell() {
		if cause := c.cause(); cause != nil {
			c.end(cause)
			return // telling stays set: there is nothing more to do
		}
		if err := c.send(c.take()); err != nil {
			c.stop(fmt.Errorf("send: %w", err))
		}
	}
}

// toTell reports whether tell has something to do; if not, it is over.
func (c *conn) toTell() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.telling = c.err != nil || len(c.queue) > 0
	return c.telling
}

// end takes the peer out, sends the rest and why the connection ended, and
// closes the stream. Errors mean that the peer is gone, which is what is wanted.
func (c *conn) end(cause error) {
	defer c.c.serving.Done()
	c.c.disconnect(c, cause)
	if errors.Is(cause, ErrClosed) && c.send(c.take()) != nil {
		c.c.cfg.Logger.Debug("peer left before it was told of the shutdown", "peer", c.peer.ID)
	}
	if text := farewell(cause); text != "" {
		_ = c.stream.Send(&proto.CoordinateResponse{Error: text})
	}
	_ = c.stream.Close()
	if !errors.Is(cause, errLeft) {
		c.c.cfg.Logger.Debug("peer lost", "peer", c.peer.ID, "name", c.peer.Name, "err", cause)
	}
	if c.gone != nil {
		close(c.gone)
	}
}

// farewell is the text for a peer whose connection we end.
func farewell(cause error) string {
	for _, known := range []error{ErrRefused, ErrReplaced, ErrTaken, ErrExpelled, ErrSlow, ErrClosed} {
		if errors.Is(cause, known) {
			return cause.Error()
		}
	}
	return ""
}

// send sends notes in as few responses as their sizes allow.
func (c *conn) send(notes []note) error {
	for _, r := range responses(notes) {
		if err := c.stream.Send(r); err != nil {
			return err
		}
		c.c.stats.sent.Add(uint64(len(r.PeerUpdates)))
	}
	return nil
}

// responses batches notes in order.
func responses(notes []note) (rs []*proto.CoordinateResponse) {
	var last *proto.CoordinateResponse
	size := 0
	for _, n := range notes {
		if n.update == nil {
			rs, last = append(rs, &proto.CoordinateResponse{Error: n.err}), nil
			continue
		}
		bytes := pb.Size(n.update) + 8 // and its tag and length
		if last == nil || size+bytes > maxResponseBytes {
			last, size = &proto.CoordinateResponse{}, 0
			rs = append(rs, last)
		}
		last.PeerUpdates = append(last.PeerUpdates, n.update)
		size += bytes
	}
	return rs
}

// receive serves one request and reports whether others may follow. What comes
// after the end is dropped.
func (c *conn) receive(ctx context.Context) (more bool) {
	req, err := c.stream.Recv()
	if err != nil {
		c.stop(fmt.Errorf("receive: %w", err))
		return false
	}
	if c.cause() != nil {
		return true
	}
	if err := c.handle(ctx, req); err != nil {
		if errors.Is(err, ErrRefused) {
			c.c.stats.refused.Add(1)
		}
		c.stop(err)
	}
	return true
}

// handle serves one request, whose parts are handled in this order.
func (c *conn) handle(ctx context.Context, req *proto.CoordinateRequest) error {
	if u := req.UpdateSelf; u != nil {
		if err := c.update(u.Node); err != nil {
			return err
		}
	}
	if t := req.AddTunnel; t != nil {
		if err := c.addTunnel(ctx, t.Id); err != nil {
			return err
		}
	}
	if t := req.RemoveTunnel; t != nil {
		if err := c.removeTunnel(t.Id); err != nil {
			return err
		}
	}
	if req.Disconnect != nil {
		return errLeft
	}
	return c.ready(req.ReadyForHandshake)
}

func (c *conn) update(node *proto.Node) error {
	if err := checkNode(c.peer.ID, c.peer.Role, node); err != nil {
		return fmt.Errorf("%w: update self: %w", ErrRefused, err)
	}
	return c.event(Event{Kind: Update, Node: node})
}

func (c *conn) addTunnel(ctx context.Context, raw []byte) error {
	dst, err := uuid.FromBytes(raw)
	if err != nil || dst == c.peer.ID {
		return fmt.Errorf("%w: open tunnel: bad id", ErrRefused)
	}
	if err := c.peer.mayReach(ctx, dst); err != nil {
		c.c.cfg.Logger.Debug("tunnel refused", "peer", c.peer.ID, "agent", dst, "err", err)
		return fmt.Errorf("%w: open tunnel to %s: not allowed", ErrRefused, dst)
	}
	return c.event(Event{Kind: AddTunnel, Dst: dst})
}

func (c *conn) removeTunnel(raw []byte) error {
	dst, err := uuid.FromBytes(raw)
	if err != nil {
		return fmt.Errorf("%w: remove tunnel: bad id", ErrRefused)
	}
	return c.event(Event{Kind: RemoveTunnel, Dst: dst})
}

func (c *conn) ready(peers []*proto.CoordinateRequest_ReadyForHandshake) error {
	if len(peers) > 0 && c.peer.Role == Client {
		return fmt.Errorf("%w: ready for handshake: only agents say so", ErrRefused)
	}
	for _, p := range peers {
		dst, err := uuid.FromBytes(p.GetId())
		if err != nil {
			return fmt.Errorf("%w: ready for handshake: bad id", ErrRefused)
		}
		if err := c.event(Event{Kind: Ready, Dst: dst}); err != nil {
			return err
		}
	}
	return nil
}

// event feeds the core with an event of this connection.
func (c *conn) event(ev Event) error {
	ev.Peer, ev.Conn = c.peer.ID, c.id
	return c.c.apply(ev)
}

// mayReach reports why a peer may not open a tunnel to dst, or nil.
func (p *Peer) mayReach(ctx context.Context, dst uuid.UUID) error {
	switch {
	case p.Role == Server:
		return nil
	case p.Role == Client && p.Allow != nil:
		return p.Allow(ctx, dst)
	}
	return errors.New("this peer may open no tunnels")
}
