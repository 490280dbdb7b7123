package coordinator_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/yamux"
	"go.uber.org/goleak"
	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcerr"
	"storj.io/drpc/drpcmux"
	"tailscale.com/types/key"

	"github.com/berthdev/berth/coordinator"
	"github.com/berthdev/berth/coordinator/coordtest"
	"github.com/berthdev/berth/tailnet/derpmap"
	"github.com/berthdev/berth/tailnet/proto"
	"github.com/berthdev/berth/tailnet/wire"
)

const (
	node  = proto.CoordinateResponse_PeerUpdate_NODE
	lost  = proto.CoordinateResponse_PeerUpdate_LOST
	ready = proto.CoordinateResponse_PeerUpdate_READY_FOR_HANDSHAKE
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemoryBus(t *testing.T) {
	coordtest.Run(t, func(*testing.T) func() coordinator.Bus {
		bus := new(coordinator.MemoryBus)
		return func() coordinator.Bus { return bus }
	})
}

func newCoordinator(t testing.TB, cfg coordinator.Config) *coordinator.Coordinator {
	c := coordinator.New(cfg)
	t.Cleanup(func() {
		if err := errors.Join(c.Close(), c.Close()); err != nil {
			t.Errorf("Close twice = %v", err)
		}
	})
	return c
}

func TestSessionOfAClientAndAnAgent(t *testing.T) {
	c := newCoordinator(t, coordinator.Config{})
	agent := coordtest.Connect(t, c, coordtest.Agent())
	client := coordtest.Connect(t, c, coordtest.Client(agent.ID))
	agent.Publish()
	client.AddTunnel(agent.ID)
	client.Publish()
	u := client.Want(node, agent.ID)
	if got, want := u.Node.Id, coordinator.NodeID(agent.ID); got != want {
		t.Errorf("node id = %d, want %d, made of the peer's id", got, want)
	}
	agent.Want(node, client.ID)
	agent.Ready(client.ID)
	client.Want(ready, agent.ID)
	agent.Ready(uuid.New())
	if r := agent.Next(); r == nil || !strings.Contains(r.Error, "no tunnel") {
		t.Errorf("ready without a tunnel answered %v, want an error and an open stream", r)
	}
	client.Drop()
	agent.Want(lost, client.ID)
	if got := c.Stats(); got.Peers != 1 || got.Tunnels != 0 || got.Sent < 3 {
		t.Errorf("Stats = %+v, want 1 peer, no tunnel, 3 or more sent", got)
	}
}

func TestRefusedRequestsEndTheStream(t *testing.T) {
	agent := uuid.New()
	tunnel := func(id []byte) *proto.CoordinateRequest {
		return &proto.CoordinateRequest{AddTunnel: &proto.CoordinateRequest_Tunnel{Id: id}}
	}
	other := uuid.New()
	ack := &proto.CoordinateRequest{ReadyForHandshake: []*proto.CoordinateRequest_ReadyForHandshake{{Id: agent[:]}}}
	for name, tt := range map[string]struct {
		peer coordinator.Peer
		req  *proto.CoordinateRequest
		want string
	}{
		"agent opens a tunnel":      {coordtest.Agent(), tunnel(other[:]), "not allowed"},
		"client to another agent":   {coordtest.Client(agent), tunnel(other[:]), "not allowed"},
		"client without permission": {coordinator.Peer{ID: other, Role: coordinator.Client}, tunnel(agent[:]), "not allowed"},
		"client acknowledges":       {coordtest.Client(agent), ack, "only agents"},
		"malformed id":              {coordtest.Client(agent), tunnel([]byte("x")), "bad id"},
		"malformed record":          {coordtest.Client(agent), &proto.CoordinateRequest{UpdateSelf: &proto.CoordinateRequest_UpdateSelf{}}, "no record"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCoordinator(t, coordinator.Config{})
			p := coordtest.Connect(t, c, tt.peer)
			p.Send(tt.req)
			p.WantEnd(tt.want)
			if got := c.Stats().Refused; got != 1 {
				t.Errorf("refused = %d, want 1", got)
			}
		})
	}
}

func TestForeignAddressIsRefused(t *testing.T) {
	c := newCoordinator(t, coordinator.Config{})
	agent := coordtest.Connect(t, c, coordtest.Agent())
	client := coordtest.Connect(t, c, coordtest.Client(agent.ID))
	client.Publish()
	client.AddTunnel(agent.ID)
	agent.Want(proto.CoordinateResponse_PeerUpdate_NODE, client.ID)

	record := agent.Record()
	record.Addresses = client.Record().Addresses
	record.AllowedIps = record.Addresses
	agent.Send(&proto.CoordinateRequest{UpdateSelf: &proto.CoordinateRequest_UpdateSelf{Node: record}})
	agent.WantEnd("not this peer's")

	thief := coordtest.Connect(t, c, coordtest.Client(agent.ID))
	record = thief.Record()
	record.Addresses = client.Record().Addresses
	record.AllowedIps = record.Addresses
	thief.Send(&proto.CoordinateRequest{UpdateSelf: &proto.CoordinateRequest_UpdateSelf{Node: record}})
	thief.WantEnd(coordinator.ErrTaken.Error())
}

func TestNewestConnectionWins(t *testing.T) {
	c := newCoordinator(t, coordinator.Config{})
	identity := coordtest.Agent()
	old := coordtest.Connect(t, c, identity)
	client := coordtest.Connect(t, c, coordtest.Client(identity.ID))
	client.Publish()
	client.AddTunnel(identity.ID)
	old.Want(node, client.ID)
	fresh := coordtest.Connect(t, c, identity)
	old.WantEnd(coordinator.ErrReplaced.Error())
	fresh.Want(node, client.ID)
	fresh.Publish()
	client.Want(node, identity.ID)
}

func TestTunnelsAreCheckedAgainOnReconnect(t *testing.T) {
	c := newCoordinator(t, coordinator.Config{})
	agent := coordtest.Connect(t, c, coordtest.Agent())
	identity := coordtest.Client(agent.ID)
	client := coordtest.Connect(t, c, identity)
	client.Publish()
	client.AddTunnel(agent.ID)
	agent.Want(node, client.ID)
	identity.Allow = coordinator.Only(uuid.New()) // permission was taken away
	coordtest.Connect(t, c, identity)
	agent.Want(proto.CoordinateResponse_PeerUpdate_DISCONNECTED, client.ID)
}

func TestCloseTellsOfTheLoss(t *testing.T) {
	c := newCoordinator(t, coordinator.Config{})
	agent := coordtest.Connect(t, c, coordtest.Agent())
	client := coordtest.Connect(t, c, coordtest.Client(agent.ID))
	agent.Publish()
	client.AddTunnel(agent.ID)
	client.Want(node, agent.ID)
	c.Close()
	client.Want(lost, agent.ID)
	client.WantEnd(coordinator.ErrClosed.Error())
	if err := c.KnownKey(context.Background(), agent.Key); !errors.Is(err, coordinator.ErrClosed) {
		t.Errorf("KnownKey after Close = %v, want ErrClosed", err)
	}
	coordtest.Connect(t, c, coordtest.Agent()).WantEnd("")
}

// stuck is a stream whose peer reads nothing.
type stuck struct {
	requests chan *proto.CoordinateRequest
	sending  chan struct{}
	closed   chan struct{}
}

func newStuck() *stuck {
	return &stuck{requests: make(chan *proto.CoordinateRequest), sending: make(chan struct{}), closed: make(chan struct{})}
}

func (s *stuck) Send(*proto.CoordinateResponse) error {
	s.sending <- struct{}{}
	<-time.After(time.Minute) // the transport's write deadline
	return errors.New("write: deadline exceeded")
}

func (s *stuck) Recv() (*proto.CoordinateRequest, error) {
	select {
	case r := <-s.requests:
		return r, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

func (s *stuck) Close() error { close(s.closed); return nil }

func TestPeerThatDoesNotReadIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinator.New(coordinator.Config{QueueLen: 10})
		s, id := newStuck(), coordtest.Agent()
		served := make(chan error)
		go func() { served <- c.Serve(t.Context(), id, s) }()
		synctest.Wait()
		var clients []*coordtest.Peer
		for range 12 {
			p := coordtest.Connect(t, c, coordtest.Client(id.ID))
			p.Publish()
			p.AddTunnel(id.ID)
			clients = append(clients, p)
			if len(clients) == 1 {
				<-s.sending
			}
			synctest.Wait()
		}
		if got := c.Stats(); got.Peers != len(clients) {
			t.Errorf("peers = %d while the slow one is still blocked, want %d", got.Peers, len(clients))
		}
		go func() {
			for range s.sending {
			}
		}()
		if err := <-served; !errors.Is(err, coordinator.ErrSlow) {
			t.Errorf("Serve of a peer that reads nothing = %v, want ErrSlow", err)
		}
		close(s.sending)
		if got := c.Stats(); got.Dropped != 1 {
			t.Errorf("dropped = %d, want 1", got.Dropped)
		}
		c.Close()
	})
}

func TestKnownKeyWaitsForTheAnnouncement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinator.New(coordinator.Config{})
		defer c.Close()
		agent := coordtest.Connect(t, c, coordtest.Agent())
		start := time.Now()
		known := make(chan error)
		go func() { known <- c.KnownKey(t.Context(), agent.Key) }()
		synctest.Wait()
		time.Sleep(9 * time.Second)
		agent.Publish()
		if err := <-known; err != nil || time.Since(start) != 9*time.Second {
			t.Errorf("KnownKey of a key announced after 9s = %v after %v", err, time.Since(start))
		}

		start = time.Now()
		if err := c.KnownKey(t.Context(), key.NewNode().Public()); !errors.Is(err, coordinator.ErrUnknownKey) || time.Since(start) != 10*time.Second {
			t.Errorf("KnownKey of a stranger = %v after %v, want ErrUnknownKey after 10s", err, time.Since(start))
		}

		agent.Drop()
		synctest.Wait()
		time.Sleep(15*time.Minute - time.Second)
		if err := c.KnownKey(t.Context(), agent.Key); err != nil {
			t.Errorf("KnownKey within the grace of a lost peer = %v, want nil", err)
		}
		time.Sleep(time.Second)
		if err := c.KnownKey(t.Context(), agent.Key); !errors.Is(err, coordinator.ErrUnknownKey) {
			t.Errorf("KnownKey after the grace = %v, want ErrUnknownKey", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.KnownKey(ctx, agent.Key); !errors.Is(err, context.Canceled) {
			t.Errorf("KnownKey with a cancelled context = %v", err)
		}
	})
}

func TestServiceSendsMapsWhenTheyChange(t *testing.T) {
	first := &derpmap.Map{Regions: map[int]*derpmap.Region{1: {RegionID: 1, RegionCode: "one"}}}
	maps := coordinator.NewMaps(first)
	resume, err := coordinator.NewResumeTokens(coordinator.ResumeKey{ID: "k", Secret: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	owner, id := uuid.New(), uuid.New()
	client := dial(t, &coordinator.Service{
		Coordinator: newCoordinator(t, coordinator.Config{}), Peer: coordinator.Peer{ID: id, Role: coordinator.Client},
		Maps: maps, Resume: resume, Owner: owner,
	})
	stream, err := client().StreamDERPMaps(t.Context(), &proto.StreamDERPMapsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{"one", "two"} {
		m, err := stream.Recv()
		if err != nil || m.Regions[1].RegionCode != code || m.HomeParams == nil {
			t.Fatalf("Recv = %v, %v, want region %q with home params", m, err, code)
		}
		maps.Set(first.Clone()) // equal: not sent
		maps.Set(&derpmap.Map{Regions: map[int]*derpmap.Region{1: {RegionID: 1, RegionCode: "two"}}})
	}
	tok, err := client().RefreshResumeToken(t.Context(), &proto.RefreshResumeTokenRequest{})
	if err != nil || tok.RefreshIn.AsDuration() != 12*time.Hour {
		t.Fatalf("RefreshResumeToken = %v, %v", tok, err)
	}
	if got, err := resume.Verify(tok.Token, owner, time.Now()); err != nil || got != id {
		t.Errorf("Verify(token) = %v, %v, want %v", got, err, id)
	}
	if _, err := client().PostTelemetry(t.Context(), &proto.TelemetryRequest{Events: []*proto.TelemetryEvent{{}}}); err != nil {
		t.Errorf("PostTelemetry = %v", err)
	}
	updates, err := client().WorkspaceUpdates(t.Context(), &proto.WorkspaceUpdatesRequest{})
	if err == nil {
		_, err = updates.Recv()
	}
	if drpcerr.Code(err) != drpcerr.Unimplemented {
		t.Errorf("WorkspaceUpdates = %v, want code %d", err, drpcerr.Unimplemented)
	}
}

// dial serves over yamux, one stream per call, as the server does.
func dial(t *testing.T, s *coordinator.Service) func() proto.DRPCTailnetClient {
	mux := drpcmux.New()
	if err := proto.DRPCRegisterTailnet(mux, s); err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = wire.NewServer(far).Serve(ctx, mux) // ends with ctx
	}()
	cfg := yamux.DefaultConfig()
	cfg.LogOutput = t.Output()
	session, err := yamux.Client(near, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		session.Close()
		cancel()
		<-served
	})
	return func() proto.DRPCTailnetClient {
		conn, err := session.Open()
		if err != nil {
			t.Fatal(err)
		}
		rpc := drpcconn.New(conn)
		t.Cleanup(func() { rpc.Close() })
		return proto.NewDRPCTailnetClient(rpc)
	}
}

func TestManyPeersAtOnce(t *testing.T) {
	c := newCoordinator(t, coordinator.Config{})
	agent := coordtest.Connect(t, c, coordtest.Agent())
	agent.Publish()
	var ids []uuid.UUID
	for range 50 {
		p := coordtest.Connect(t, c, coordtest.Client(agent.ID))
		ids = append(ids, p.ID)
		go func() {
			p.Publish()
			p.AddTunnel(agent.ID)
		}()
	}
	for len(ids) > 0 {
		for _, u := range agent.Next().GetPeerUpdates() {
			if i := slices.Index(ids, uuid.UUID(u.Id)); i >= 0 && u.Kind == node {
				ids = slices.Delete(ids, i, i+1)
			}
		}
	}
}
