// Package coordinator tells the peers of the tailnet about each other: it
// takes the record that each peer publishes and passes it to those that share
// a tunnel with the peer, and says when a peer is lost, gone or ready for a
// handshake. It serves the dRPC service coder.tailnet.v2.Tailnet (package
// tailnet/proto).
//
// It keeps this: nobody learns of a peer without a tunnel; routing is derived
// from authenticated ids or checked, never believed; a lost stream ends no
// session, because receivers are told LOST and keep what they have; an idle
// coordinator does nothing.
//
// The rules are a pure core (state.go), one thin loop per connection feeds it
// (conn.go), a Bus joins replicas. Who a caller is and which agents it may
// reach is decided by the server, which hands in a Peer; carrying packets is
// the duty of packages tailnet and derp.
package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"tailscale.com/types/key"

	"github.com/berthdev/berth/tailnet/proto"
)

// Config tunes a Coordinator. The zero value is that of a single replica.
type Config struct {
	// Bus joins this coordinator with other replicas; nil means there are none.
	Bus Bus
	// QueueLen is how many updates may wait for a peer that does not read
	// before it is removed; 0 means 4096. Updates share their records, so one
	// takes about 150 bytes.
	QueueLen int
	// KeyWait is how long KnownKey waits for an announcement; 0 means 10 s.
	KeyWait time.Duration
	// Logger may be nil.
	Logger *slog.Logger
}

const (
	defaultQueueLen = 4096
	defaultKeyWait  = 10 * time.Second
	// maxWaiting bounds the callers of KnownKey that wait at the same time.
	maxWaiting = 4096
)

var (
	// ErrClosed reports a coordinator that was closed.
	ErrClosed = errors.New("coordinator is closed")
	// ErrUnknownKey reports a key that no peer announced in time.
	ErrUnknownKey = errors.New("no peer has announced this key")
	// ErrRefused is wrapped by the errors for requests that a peer may not make
	// or that are malformed. Their text is told to the peer.
	ErrRefused = errors.New("refused")
	// ErrSlow ends a connection whose peer let too many updates wait.
	ErrSlow = errors.New("too many updates waiting to be read")
)

// Coordinator joins peers. Its methods may be called concurrently.
type Coordinator struct {
	cfg     Config
	replica uuid.UUID
	stats   counters
	outbox  *outbox // nil without a bus

	mu      sync.Mutex // guards below; taken before conn.mu
	closed  bool
	state   *state
	conns   map[uuid.UUID]*conn // the newest of each peer connected here
	waiting map[key.NodePublic]chan struct{}
	waiters int
	serving sync.WaitGroup
}

// New returns a coordinator, joined to the bus if there is one. Close it.
func New(cfg Config) *Coordinator {
	if cfg.QueueLen == 0 {
		cfg.QueueLen = defaultQueueLen
	}
	if cfg.KeyWait == 0 {
		cfg.KeyWait = defaultKeyWait
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	replica := uuid.New()
	c := &Coordinator{
		cfg: cfg, replica: replica, state: newState(replica),
		conns: map[uuid.UUID]*conn{}, waiting: map[key.NodePublic]chan struct{}{},
	}
	if cfg.Bus != nil {
		c.outbox = newOutbox(cfg.Bus, replica)
		c.outbox.leave = cfg.Bus.Join(replica, c.deliver)
		c.outbox.put(Event{Kind: Hello, Conn: Conn{Replica: replica}})
	}
	return c
}

// Close tells every peer that all others are lost, ends the streams and waits
// for Serve to return. It may be called twice.
func (c *Coordinator) Close() error {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		var fx effects
		c.state.shutdown(&fx)
		c.carryOutLocked(fx)
		for _, conn := range c.conns {
			conn.stop(ErrClosed)
		}
		for k, ch := range c.waiting {
			close(ch)
			delete(c.waiting, k)
		}
	}
	c.mu.Unlock()
	c.serving.Wait()
	if c.outbox != nil {
		c.outbox.close()
	}
	return nil
}

// apply feeds an event of a peer that is connected here to the core and
// carries out what follows.
func (c *Coordinator) apply(ev Event) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.applyLocked(ev)
}

func (c *Coordinator) applyLocked(ev Event) error {
	if c.closed {
		return ErrClosed
	}
	if err := c.feedLocked(ev); err != nil {
		return err
	}
	if c.outbox != nil {
		c.outbox.put(ev)
	}
	return nil
}

func (c *Coordinator) feedLocked(ev Event) error {
	fx, err := c.state.apply(ev, time.Now())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	c.carryOutLocked(fx)
	if ev.Kind == Update {
		c.wakeLocked(ev)
	}
	return nil
}

// deliver takes an event from another replica.
func (c *Coordinator) deliver(ev Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if ev.Kind == Hello {
		for _, own := range c.state.events() {
			c.outbox.put(own)
		}
		return
	}
	if err := c.feedLocked(ev); err != nil {
		c.cfg.Logger.Warn("record of another replica's peer clashes", "peer", ev.Peer, "replica", ev.Conn.Replica, "err", err)
	}
}

// carryOutLocked hands each peer its updates and ends connections. Nothing of
// it blocks. A peer that reads too slowly is removed at once: the end of its
// connection may have to wait for the transport to give up. It counts as lost,
// not as gone for good, so that others keep its sessions until it is back.
func (c *Coordinator) carryOutLocked(fx effects) {
	var slow []*conn
	for rest := fx.notes; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].to == rest[0].to {
			n++
		}
		if conn := c.conns[rest[0].to]; conn != nil && !conn.put(rest[:n]) {
			slow = append(slow, conn)
		}
		rest = rest[n:]
	}
	for _, k := range fx.kicks {
		if conn := c.conns[k.peer]; conn != nil && conn.id == k.conn {
			conn.stop(k.cause)
		}
	}
	for _, conn := range slow {
		c.removeLocked(conn, Lost, "reads too slowly")
	}
}

// Stream is the coordinator's end of a Coordinate call. Send must return
// within bounded time, so the transport below needs a write deadline. Close
// makes Recv return.
type Stream interface {
	Send(*proto.CoordinateResponse) error
	Recv() (*proto.CoordinateRequest, error)
	Close() error
}

// Peer is who is at the other end of a stream.
type Peer struct {
	ID    uuid.UUID // authenticated
	Owner uuid.UUID // of a Client: its user, for Expel
	Name  string    // for the log
	Role  Role
	// Allow reports why a Client may not reach an agent, or nil. It may block.
	// It is called for each tunnel that the client opens. nil refuses all.
	Allow func(ctx context.Context, agent uuid.UUID) error
}

// Only allows one agent.
func Only(agent uuid.UUID) func(context.Context, uuid.UUID) error {
	return func(_ context.Context, id uuid.UUID) error {
		if id != agent {
			return fmt.Errorf("this connection is for agent %s only", agent)
		}
		return nil
	}
}

// Serve serves one stream until its peer leaves (nil), the stream or ctx ends,
// the peer connects again (ErrReplaced) or asks for what it may not have
// (ErrRefused), reads too slowly (ErrSlow), or the coordinator closes
// (ErrClosed). The peer is told why before the stream is closed.
func (c *Coordinator) Serve(ctx context.Context, p Peer, s Stream) error {
	gone := make(chan struct{})
	conn, err := c.connect(ctx, p, s, gone)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	defer context.AfterFunc(ctx, func() { conn.stop(context.Cause(ctx)) })()
	for conn.receive(ctx) {
	}
	<-gone
	if cause := conn.cause(); !errors.Is(cause, errLeft) {
		return fmt.Errorf("coordinate peer %s: %w", p.ID, cause)
	}
	return nil
}

// connect registers a connection. Tunnels that the peer still has from an
// older one are kept only as far as it may open them now.
// gone, if there is one, is closed when the connection has ended.
func (c *Coordinator) connect(ctx context.Context, p Peer, s Stream, gone chan struct{}) (*conn, error) {
	allowed := c.allowed(ctx, p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	conn := &conn{c: c, peer: p, id: Conn{Replica: c.replica, Began: c.beganLocked(p.ID)}, stream: s, gone: gone}
	c.serving.Add(1)
	old := c.conns[p.ID]
	c.conns[p.ID] = conn
	if old != nil {
		old.stop(ErrReplaced)
	}
	evs := []Event{{Kind: Connect, Peer: p.ID, Conn: conn.id, Role: p.Role, Owner: p.Owner}}
	for _, dst := range c.tunnelsLocked(p.ID) {
		kind := RemoveTunnel
		if allowed[dst] {
			kind = AddTunnel // for the other replicas
		}
		evs = append(evs, Event{Kind: kind, Peer: p.ID, Conn: conn.id, Dst: dst})
	}
	for _, ev := range evs {
		if err := c.applyLocked(ev); err != nil {
			conn.stop(err)
		}
	}
	return conn, nil
}

func (c *Coordinator) beganLocked(id uuid.UUID) int64 {
	began := time.Now().UnixNano()
	if p := c.state.peers[id]; p != nil {
		began = max(began, p.conn.Began+1)
	}
	return began
}

// allowed returns the ends of p's tunnels that it may still reach.
func (c *Coordinator) allowed(ctx context.Context, p Peer) map[uuid.UUID]bool {
	c.mu.Lock()
	tunnels := c.tunnelsLocked(p.ID)
	c.mu.Unlock()
	allowed := make(map[uuid.UUID]bool, len(tunnels))
	for _, id := range tunnels {
		allowed[id] = p.mayReach(ctx, id) == nil
	}
	return allowed
}

func (c *Coordinator) tunnelsLocked(id uuid.UUID) (ids []uuid.UUID) {
	if p := c.state.peers[id]; p != nil {
		for dst := range p.to {
			ids = append(ids, dst)
		}
	}
	return ids
}

// disconnect tells the core how a connection ended.
func (c *Coordinator) disconnect(conn *conn, cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(cause, errLeft) || errors.Is(cause, ErrExpelled) {
		c.removeLocked(conn, Disconnect, "disconnected")
		return
	}
	c.removeLocked(conn, Lost, "connection lost")
}

// Expel ends the connections of a user's peers (ErrExpelled) and all tunnels to
// them: agents hang up, at once or when they are back. The caller must let in no
// new connection of the user from before on. Peers and agents that were lost are
// remembered for 15 min, and forgotten when the server restarts: two that have
// gone on without the server for longer are not known.
func (c *Coordinator) Expel(owner uuid.UUID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ev := Event{Kind: Expel, Owner: owner, Conn: Conn{Replica: c.replica}}
	if err := c.applyLocked(ev); err != nil && !errors.Is(err, ErrClosed) {
		c.cfg.Logger.Error("user not expelled", "owner", owner, "err", err)
	}
}

func (c *Coordinator) removeLocked(conn *conn, kind Kind, reason string) {
	if c.conns[conn.peer.ID] == conn {
		delete(c.conns, conn.peer.ID)
	}
	ev := Event{Kind: kind, Peer: conn.peer.ID, Conn: conn.id, Reason: reason}
	if err := c.applyLocked(ev); err != nil && !errors.Is(err, ErrClosed) {
		c.cfg.Logger.Error("end of a connection was refused", "peer", conn.peer.ID, "err", err)
	}
}
