package coordtest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/coordinator"
	"github.com/berthdev/berth/tailnet/proto"
)

const (
	node         = proto.CoordinateResponse_PeerUpdate_NODE
	disconnected = proto.CoordinateResponse_PeerUpdate_DISCONNECTED
	lost         = proto.CoordinateResponse_PeerUpdate_LOST
	ready        = proto.CoordinateResponse_PeerUpdate_READY_FOR_HANDSHAKE
)

// Run tests a kind of bus. newBus returns, for each subtest, a function that
// gives one replica its end of a new bus.
func Run(t *testing.T, newBus func(t *testing.T) func() coordinator.Bus) {
	for name, test := range map[string]func(*testing.T, func() coordinator.Bus){
		"events come in order and not back":         testOrder,
		"peers at two replicas meet":                testMeet,
		"newest connection wins at another replica": testNewestWins,
		"replica that joins late knows all":         testJoinLate,
		"peers of a replica that stops are lost":    testBye,
		"key announced elsewhere is known":          testKey,
		"expelled user is gone at every replica":    testExpel,
	} {
		t.Run(name, func(t *testing.T) { test(t, newBus(t)) })
	}
}

func newCoordinator(t *testing.T, bus coordinator.Bus) *coordinator.Coordinator {
	c := coordinator.New(coordinator.Config{Bus: bus})
	t.Cleanup(func() { c.Close() })
	return c
}

func testOrder(t *testing.T, end func() coordinator.Bus) {
	const events = 1000
	var (
		mu   sync.Mutex
		got  []int64
		done = make(chan struct{})
	)
	from, to := uuid.New(), uuid.New()
	sender, receiver := end(), end()
	leaveSender := sender.Join(from, func(ev coordinator.Event) { t.Errorf("own event %v came back", ev) })
	defer leaveSender()
	leave := receiver.Join(to, func(ev coordinator.Event) {
		mu.Lock()
		defer mu.Unlock()
		if got = append(got, ev.Conn.Began); len(got) == events {
			close(done)
		}
	})
	for i := range events {
		sender.Publish(from, coordinator.Event{Kind: coordinator.Lost, Peer: from, Conn: coordinator.Conn{Replica: from, Began: int64(i)}})
	}
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%d of %d events came", len(got), events)
	}
	leave()
	leave()
	sender.Publish(from, coordinator.Event{Kind: coordinator.Lost, Conn: coordinator.Conn{Began: events}})
	mu.Lock()
	defer mu.Unlock()
	if !slices.IsSorted(got) || len(got) != events {
		t.Errorf("%d events came, in order: %t; want %d in order", len(got), slices.IsSorted(got), events)
	}
}

func testMeet(t *testing.T, end func() coordinator.Bus) {
	agent := Connect(t, newCoordinator(t, end()), Agent())
	client := Connect(t, newCoordinator(t, end()), Client(agent.ID))
	agent.Publish()
	client.Publish()
	client.AddTunnel(agent.ID)
	agent.Want(node, client.ID)
	client.Want(node, agent.ID)
	agent.Ready(client.ID)
	client.Want(ready, agent.ID)
	client.Send(&proto.CoordinateRequest{Disconnect: &proto.CoordinateRequest_Disconnect{}})
	agent.Want(disconnected, client.ID)
	client.WantEnd("")
}

func testNewestWins(t *testing.T, end func() coordinator.Bus) {
	first, second := newCoordinator(t, end()), newCoordinator(t, end())
	identity := Agent()
	old := Connect(t, first, identity)
	client := Connect(t, first, Client(identity.ID))
	old.Publish()
	client.Publish()
	client.AddTunnel(identity.ID)
	client.Want(node, identity.ID)
	if err := second.KnownKey(context.Background(), old.Key); err != nil { // it knows of the old connection
		t.Fatal(err)
	}
	fresh := Connect(t, second, identity)
	fresh.Want(node, client.ID)
	old.WantEnd(coordinator.ErrReplaced.Error())
	fresh.Publish()
	for u := client.Want(node, identity.ID); ; u = client.Want(node, identity.ID) {
		if k, _ := fresh.Key.MarshalBinary(); slices.Equal(u.Node.Key, k) {
			return
		}
	}
}

func testJoinLate(t *testing.T, end func() coordinator.Bus) {
	first := newCoordinator(t, end())
	agent := Connect(t, first, Agent())
	agent.Publish()
	if err := first.KnownKey(context.Background(), agent.Key); err != nil {
		t.Fatal(err)
	}
	second := newCoordinator(t, end())
	client := Connect(t, second, Client(agent.ID))
	client.AddTunnel(agent.ID)
	client.Want(node, agent.ID)
}

func testExpel(t *testing.T, end func() coordinator.Bus) {
	first, second := newCoordinator(t, end()), newCoordinator(t, end())
	agent := Connect(t, first, Agent())
	identity := Client(agent.ID)
	identity.Owner = uuid.New()
	client := Connect(t, second, identity)
	agent.Publish()
	client.Publish()
	client.AddTunnel(agent.ID)
	agent.Want(node, client.ID)
	client.Want(node, agent.ID)
	first.Expel(uuid.New())
	first.Expel(uuid.UUID{}) // agents have this owner
	first.Expel(identity.Owner)
	agent.Want(disconnected, client.ID)
	client.WantEnd(coordinator.ErrExpelled.Error())
}

func testBye(t *testing.T, end func() coordinator.Bus) {
	first, second := newCoordinator(t, end()), newCoordinator(t, end())
	agent := Connect(t, first, Agent())
	client := Connect(t, second, Client(agent.ID))
	agent.Publish()
	client.AddTunnel(agent.ID)
	client.Want(node, agent.ID)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	client.Want(lost, agent.ID)
	agent.WantEnd(coordinator.ErrClosed.Error())
}

func testKey(t *testing.T, end func() coordinator.Bus) {
	first, second := newCoordinator(t, end()), newCoordinator(t, end())
	agent := Connect(t, first, Agent())
	known := make(chan error)
	go func() { known <- second.KnownKey(context.Background(), agent.Key) }()
	agent.Publish()
	if err := <-known; err != nil {
		t.Errorf("KnownKey at the other replica = %v, want nil", err)
	}
}
