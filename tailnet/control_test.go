package tailnet

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"storj.io/drpc/drpcmux"
	"tailscale.com/types/key"

	"github.com/berthdev/berth/coordinator"
	"github.com/berthdev/berth/derp"
	"github.com/berthdev/berth/tailnet/proto"
	"github.com/berthdev/berth/tailnet/wire"
)

// testServer is a coordinator and a relay that admits the keys it knows.
type testServer struct {
	t      *testing.T
	coord  *coordinator.Coordinator
	relay  *derp.Relay
	maps   *coordinator.Maps
	access *url.URL
}

func startServer(t *testing.T) *testServer {
	t.Helper()
	s := &testServer{t: t, coord: coordinator.New(coordinator.Config{Logger: testLogger(t)})}
	var err error
	s.relay, err = derp.New(derp.Config{Admit: func(ctx context.Context, k key.NodePublic, _ netip.AddrPort) error {
		return s.coord.KnownKey(ctx, k)
	}})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.access = &url.URL{Scheme: "http", Host: ln.Addr().String()}
	split := derp.NewSplit(ln)
	web := &http.Server{Handler: s.relay.Handler()}
	served := make(chan error, 2)
	go func() { served <- s.relay.ServeTLS(split.TLS()) }()
	go func() { served <- web.Serve(split.Plain()) }()
	m, err := derp.Map(derp.MapConfig{AccessURL: s.access, CertName: s.relay.Keys().CertName()})
	if err != nil {
		t.Fatal(err)
	}
	s.maps = coordinator.NewMaps(m)
	t.Cleanup(func() {
		web.Close()
		for _, err := range []error{s.relay.Close(), split.Close(), s.coord.Close(), <-served, <-served} {
			if err != nil && !errors.Is(err, http.ErrServerClosed) {
				t.Errorf("close server: %v", err)
			}
		}
	})
	return s
}

// connect returns the calling side of a session of peer with the server. end
// closes it and waits until the server knows.
func (s *testServer) connect(peer coordinator.Peer) (conn *wire.Conn, end func()) {
	s.t.Helper()
	mux := drpcmux.New()
	if err := proto.DRPCRegisterTailnet(mux, &coordinator.Service{Coordinator: s.coord, Peer: peer, Maps: s.maps}); err != nil {
		s.t.Fatal(err)
	}
	near, far := net.Pipe()
	server := wire.NewServer(far)
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(context.Background(), mux); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			s.t.Errorf("serve %s: %v", peer.Name, err)
		}
	}()
	conn, err := wire.NewClient(near)
	if err != nil {
		s.t.Fatal(err)
	}
	end = func() {
		conn.Close()
		<-served
	}
	s.t.Cleanup(end)
	return conn, end
}

// awaitLost waits until the coordinator has lost all peers: it notices after
// their sessions have ended.
func (s *testServer) awaitLost() {
	s.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for limit := time.After(10 * time.Second); s.coord.Stats().Peers > 0; {
		select {
		case <-tick.C:
		case <-limit:
			s.t.Fatalf("the coordinator still has %+v", s.coord.Stats())
		}
	}
}

// controlled is a node and its control, which runs over one session after the
// other.
type controlled struct {
	node       *Node
	control    *Control
	programmed chan uuid.UUID
	server     *testServer
}

func startControlled(s *testServer, addresses []netip.Prefix, cfg ControlConfig) *controlled {
	s.t.Helper()
	c := &controlled{programmed: make(chan uuid.UUID, 16), server: s}
	cfg.Access, cfg.Logger = s.access, testLogger(s.t)
	cfg.Programmed = func(id uuid.UUID) { c.programmed <- id }
	c.control = NewControl(cfg)
	var err error
	if c.node, err = New(Config{Addresses: addresses, Self: c.control.Self, Logger: testLogger(s.t)}); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.node.Close() })
	return c
}

// run runs the control as peer and returns what breaks the session and waits.
func (c *controlled) run(peer coordinator.Peer) (breakIt func()) {
	c.server.t.Helper()
	conn, end := c.server.connect(peer)
	ran := make(chan error, 1)
	go func() { ran <- c.control.Run(context.Background(), c.node, proto.NewDRPCTailnetClient(conn)) }()
	return func() {
		end()
		if err := <-ran; err == nil {
			c.server.t.Error("Run of a broken session = nil, want an error")
		}
	}
}

func (c *controlled) awaitProgrammed(id uuid.UUID) {
	c.server.t.Helper()
	for limit := time.After(10 * time.Second); ; {
		select {
		case got := <-c.programmed:
			if got == id {
				return
			}
		case <-limit:
			c.server.t.Fatalf("peer %v was not programmed", id)
		}
	}
}

func TestNodesMeetThroughCoordinatorAndRelay(t *testing.T) {
	s := startServer(t)
	agentID := uuid.New()
	agentPeer := coordinator.Peer{ID: agentID, Name: "agent", Role: coordinator.Agent}
	clientPeer := func() coordinator.Peer {
		return coordinator.Peer{ID: uuid.New(), Name: "client", Role: coordinator.Client, Allow: coordinator.Only(agentID)}
	}
	agent := startControlled(s, AddressesFor(agentID), ControlConfig{Agent: true})
	client := startControlled(s, AddressesFor(uuid.New())[:1], ControlConfig{Destinations: []uuid.UUID{agentID}})
	serve(t, agent.node, 7, echo)
	breakAgent := agent.run(agentPeer)
	breakClient := client.run(clientPeer())
	client.awaitProgrammed(agentID)

	ctx := timeout(t, 10*time.Second)
	if err := client.node.AwaitReachable(ctx, AddressFor(agentID)); err != nil { // as everybody does before a dial
		t.Fatalf("AwaitReachable = %v", err)
	}
	conn, err := client.node.DialTCP(ctx, netip.AddrPortFrom(AddressFor(agentID), 7))
	if err != nil {
		t.Fatalf("DialTCP of the agent = %v, want nil", err)
	}
	defer conn.Close()
	say := func(when string) {
		t.Helper()
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "hello"); err != nil {
			t.Fatalf("%s: Write = %v", when, err)
		}
		buf := make([]byte, 5)
		if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != "hello" {
			t.Fatalf("%s: echo = %q, %v, want hello", when, buf, err)
		}
	}
	say("connected")

	breakAgent()
	breakClient()
	say("without a coordinator")

	// The agent knows the client under its old id, with the same key, which the
	// coordinator gives to another id when it has lost the old one.
	s.awaitLost()
	breakAgent = agent.run(agentPeer)
	again := clientPeer()
	breakClient = client.run(again)
	agent.awaitProgrammed(again.ID)
	say("with a new id")
	breakAgent()
	breakClient()

	if got := s.relay.Stats(); got.Refused != 0 || got.Accepted < 2 {
		t.Errorf("relay: %+v, want both admitted and none refused", got)
	}
}
