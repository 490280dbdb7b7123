package tailnet

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/coordinator"
)

// TestDestinationsComeAndGo reaches an agent that was not wanted when the
// session began, and is hung up on when it is not wanted any more.
func TestDestinationsComeAndGo(t *testing.T) {
	s := startServer(t)
	first, second := uuid.New(), uuid.New()
	for _, id := range []uuid.UUID{first, second} {
		a := startControlled(s, AddressesFor(id), ControlConfig{Agent: true})
		serve(t, a.node, 7, echo)
		defer a.run(coordinator.Peer{ID: id, Name: "agent", Role: coordinator.Agent})()
	}
	server := startControlled(s, AddressesFor(uuid.New())[:1], ControlConfig{})
	peer := coordinator.Peer{ID: uuid.New(), Name: "server", Role: coordinator.Server}
	breakServer := server.run(peer)

	reach := func(id uuid.UUID) net.Conn {
		t.Helper()
		conn, err := server.node.DialTCP(timeout(t, 10*time.Second), netip.AddrPortFrom(AddressFor(id), 7))
		if err != nil {
			t.Fatalf("DialTCP of a wanted agent = %v, want nil", err)
		}
		t.Cleanup(func() { conn.Close() })
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	server.control.Want(first, true)
	server.awaitProgrammed(first)
	open := reach(first)
	server.control.Want(second, true)
	server.awaitProgrammed(second)
	reach(second)

	server.control.Want(first, false)
	if n, err := open.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read of a connection to an agent that is not wanted any more = %d, %v, want that it was reset", n, err)
	}
	breakServer()

	defer server.run(peer)()
	server.awaitProgrammed(second)
	reach(second)
	if server.node.peer(first) != nil {
		t.Error("the next session asked for the agent that is not wanted any more")
	}
}
