// Package coordtest tests coordinators with real peers: dRPC clients over
// in-memory connections. Run is the suite that every coordinator.Bus must
// pass.
package coordtest

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcmux"
	"storj.io/drpc/drpcserver"
	"tailscale.com/types/key"

	"github.com/berthdev/berth/coordinator"
	"github.com/berthdev/berth/tailnet/proto"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// Peer is a peer with a Coordinate stream.
type Peer struct {
	ID     uuid.UUID
	Key    key.NodePublic
	Client proto.DRPCTailnetClient

	t      testing.TB
	stream proto.DRPCTailnet_CoordinateClient
	got    chan *proto.CoordinateResponse // closed at the end of the stream
	stop   func()
}

// Connect opens a connection to c as p and serves it until the test ends.
func Connect(t testing.TB, c *coordinator.Coordinator, p coordinator.Peer) *Peer {
	t.Helper()
	return Serve(t, &coordinator.Service{Coordinator: c, Peer: p})
}

// Serve is Connect with a service of the test's own making.
func Serve(t testing.TB, service *coordinator.Service) *Peer {
	t.Helper()
	mux := drpcmux.New()
	if err := proto.DRPCRegisterTailnet(mux, service); err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = drpcserver.New(mux).ServeOne(context.Background(), far) // ends when the test closes near
	}()
	conn := drpcconn.New(near)
	p := &Peer{
		ID: service.Peer.ID, Key: key.NewNode().Public(), Client: proto.NewDRPCTailnetClient(conn),
		t: t, got: make(chan *proto.CoordinateResponse, 1024),
	}
	stream, err := p.Client.Coordinate(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	p.stream = stream
	p.Send(&proto.CoordinateRequest{}) // a call begins with its first message
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.read()
	}()
	p.stop = func() {
		_ = conn.Close()
		<-served
		<-read
	}
	t.Cleanup(p.stop)
	return p
}

func (p *Peer) read() {
	defer close(p.got)
	for {
		r, err := p.stream.Recv()
		if err != nil {
			return
		}
		p.got <- r
	}
}

// Drop breaks the connection and waits until both ends know.
func (p *Peer) Drop() { p.stop() }

// Send sends a request. That a stream has ended shows in what is received.
func (p *Peer) Send(req *proto.CoordinateRequest) {
	_ = p.stream.Send(req)
}

// Record returns a good record of the peer.
func (p *Peer) Record() *proto.Node {
	k, err := p.Key.MarshalBinary()
	if err != nil {
		p.t.Fatal(err)
	}
	addr := netip.PrefixFrom(coordinator.AgentAddresses(p.ID)[1], 128).String()
	return &proto.Node{
		Key: k, Disco: "discokey:" + strings.Repeat("ab", 32), PreferredDerp: 999,
		Addresses: []string{addr}, AllowedIps: []string{addr}, Endpoints: []string{"192.0.2.7:41641"},
	}
}

// Publish sends the peer's record.
func (p *Peer) Publish() {
	p.Send(&proto.CoordinateRequest{UpdateSelf: &proto.CoordinateRequest_UpdateSelf{Node: p.Record()}})
}

// AddTunnel opens a tunnel to dst.
func (p *Peer) AddTunnel(dst uuid.UUID) {
	p.Send(&proto.CoordinateRequest{AddTunnel: &proto.CoordinateRequest_Tunnel{Id: dst[:]}})
}

// Ready acknowledges dst.
func (p *Peer) Ready(dst uuid.UUID) {
	p.Send(&proto.CoordinateRequest{ReadyForHandshake: []*proto.CoordinateRequest_ReadyForHandshake{{Id: dst[:]}}})
}

// Next returns the next response, nil if the stream ended.
func (p *Peer) Next() *proto.CoordinateResponse {
	p.t.Helper()
	select {
	case r := <-p.got:
		return r
	case <-time.After(patience):
		p.t.Fatalf("peer %s was told nothing for %v", p.ID, patience)
		return nil
	}
}

// Want reads until an update of the kind about other arrives, and returns it.
func (p *Peer) Want(kind proto.CoordinateResponse_PeerUpdate_Kind, other uuid.UUID) *proto.CoordinateResponse_PeerUpdate {
	p.t.Helper()
	for {
		r := p.Next()
		if r == nil {
			p.t.Fatalf("stream of %s ended, want %v of %s", p.ID, kind, other)
		}
		for _, u := range r.PeerUpdates {
			if uuid.UUID(u.Id) == other && u.Kind == kind {
				return u
			}
		}
	}
}

// WantEnd reads until the stream ends and checks that the last thing told
// was an error with text in it.
func (p *Peer) WantEnd(text string) {
	p.t.Helper()
	var last string
	for r := p.Next(); r != nil; r = p.Next() {
		last = r.Error
	}
	if text == "" && last != "" || !strings.Contains(last, text) {
		p.t.Errorf("stream of %s ended with %q, want %q", p.ID, last, text)
	}
}

// Agent returns an agent with a new id.
func Agent() coordinator.Peer {
	return coordinator.Peer{ID: uuid.New(), Name: "agent", Role: coordinator.Agent}
}

// Client returns a client with a new id that may reach agent.
func Client(agent uuid.UUID) coordinator.Peer {
	return coordinator.Peer{ID: uuid.New(), Name: "client", Role: coordinator.Client, Allow: coordinator.Only(agent)}
}
