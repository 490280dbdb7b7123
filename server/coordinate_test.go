package server

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"tailscale.com/types/key"

	"github.com/berthdev/berth/coordinator"
	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/tailnet/proto"
	"github.com/berthdev/berth/tailnet/wire"
)

// node is a record as a peer with these addresses publishes it.
func node(t testing.TB, addresses ...string) *proto.Node {
	t.Helper()
	return keyNode(t, key.NewNode().Public(), addresses...)
}

func keyNode(t testing.TB, k key.NodePublic, addresses ...string) *proto.Node {
	t.Helper()
	public, err := k.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	disco, err := key.NewDisco().Public().MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	return &proto.Node{Key: public, Disco: string(disco), PreferredDerp: 999, Addresses: addresses, AllowedIps: addresses}
}

func agentNode(t testing.TB, id uuid.UUID) *proto.Node {
	own := coordinator.AgentAddresses(id)
	return node(t, own[0].String()+"/128", own[1].String()+"/128")
}

const clientAddress = "fd7a:115c:a1e0:1:2:3:4:5/128"

// coordinateStream opens a Coordinate call.
func coordinateStream(t testing.TB, conn *wire.Conn) proto.DRPCTailnet_CoordinateClient {
	t.Helper()
	stream, err := proto.NewDRPCTailnetClient(conn).Coordinate(t.Context())
	if err != nil {
		t.Fatalf("Coordinate: %v", err)
	}
	return stream
}

func send(t testing.TB, stream proto.DRPCTailnet_CoordinateClient, req *proto.CoordinateRequest) {
	t.Helper()
	if err := stream.Send(req); err != nil {
		t.Fatalf("Send: %v", err)
	}
}

func update(n *proto.Node) *proto.CoordinateRequest {
	return &proto.CoordinateRequest{UpdateSelf: &proto.CoordinateRequest_UpdateSelf{Node: n}}
}

// nextUpdate returns the next update about a peer.
func nextUpdate(t testing.TB, stream proto.DRPCTailnet_CoordinateClient) *proto.CoordinateResponse_PeerUpdate {
	t.Helper()
	res, err := stream.Recv()
	if err != nil || len(res.PeerUpdates) != 1 {
		t.Fatalf("Recv = %v, %v, want one update", res, err)
	}
	return res.PeerUpdates[0]
}

func TestAgentAndClientLearnOfEachOther(t *testing.T) {
	each(t, func(t *testing.T, d *deployment) {
		c := d.owner()
		ws := d.workspace(c, "blue")
		id := ws.LatestBuild.Resources[0].Agents[0].ID
		agent := coordinateStream(t, d.connect(d.agentToken(c, ws)).Conn)
		send(t, agent, update(agentNode(t, id)))

		conn, err := c.Coordinate(t.Context(), id, "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		client := coordinateStream(t, conn)
		send(t, client, &proto.CoordinateRequest{
			UpdateSelf: &proto.CoordinateRequest_UpdateSelf{Node: node(t, clientAddress)},
			AddTunnel:  &proto.CoordinateRequest_Tunnel{Id: id[:]},
		})
		if got := nextUpdate(t, client); uuid.UUID(got.Id) != id || got.Kind != proto.CoordinateResponse_PeerUpdate_NODE {
			t.Errorf("client learns %v, want the agent's node", got)
		}
		got := nextUpdate(t, agent)
		if got.Kind != proto.CoordinateResponse_PeerUpdate_NODE || got.Node.Addresses[0] != clientAddress {
			t.Errorf("agent learns %v, want the client's node", got)
		}
		send(t, agent, &proto.CoordinateRequest{ReadyForHandshake: []*proto.CoordinateRequest_ReadyForHandshake{{Id: got.Id}}})
		if got := nextUpdate(t, client); got.Kind != proto.CoordinateResponse_PeerUpdate_READY_FOR_HANDSHAKE {
			t.Errorf("client learns %v, want ready for handshake", got)
		}
		maps, err := proto.NewDRPCTailnetClient(conn).StreamDERPMaps(t.Context(), &proto.StreamDERPMapsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if m, err := maps.Recv(); err != nil || len(m.Regions) != 1 {
			t.Errorf("StreamDERPMaps = %v, %v", m, err)
		}

		// The same peer comes back with its resume token, not with another's.
		token, err := proto.NewDRPCTailnetClient(conn).RefreshResumeToken(t.Context(), &proto.RefreshResumeTokenRequest{})
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if lost := nextUpdate(t, agent); lost.Kind != proto.CoordinateResponse_PeerUpdate_LOST || uuid.UUID(lost.Id) != uuid.UUID(got.Id) {
			t.Errorf("agent learns %v, want the client lost", lost)
		}
		back, err := c.Coordinate(t.Context(), id, token.Token)
		if err != nil {
			t.Fatal(err)
		}
		defer back.Close()
		again := coordinateStream(t, back)
		send(t, again, &proto.CoordinateRequest{
			UpdateSelf: &proto.CoordinateRequest_UpdateSelf{Node: node(t, clientAddress)},
			AddTunnel:  &proto.CoordinateRequest_Tunnel{Id: id[:]},
		})
		if now := nextUpdate(t, agent); uuid.UUID(now.Id) != uuid.UUID(got.Id) {
			t.Errorf("agent learns of peer %x, want %x as before", now.Id, got.Id)
		}
	})
}

func TestTunnelsNeedPermission(t *testing.T) {
	d := start(t, Config{})
	owner, other := d.owner(), d.member("bob")
	theirs := d.workspace(owner, "blue").LatestBuild.Resources[0].Agents[0].ID
	mine := d.workspace(other, "green").LatestBuild.Resources[0].Agents[0].ID

	if _, err := other.Coordinate(t.Context(), theirs, ""); api.StatusCode(err) != http.StatusNotFound {
		t.Errorf("Coordinate with another user's agent = %v, want 404", err)
	}
	for what, conn := range map[string]func() *wire.Conn{
		"a connection for one's own agent": func() *wire.Conn {
			conn, err := other.Coordinate(t.Context(), mine, "")
			if err != nil {
				t.Fatal(err)
			}
			return conn
		},
		"a connection for all agents": func() *wire.Conn {
			socket, _, err := d.dial(other, "/api/v2/tailnet?version=2.0")
			if err != nil {
				t.Fatal(err)
			}
			conn, err := wire.NewClient(wire.Stream(context.Background(), socket))
			if err != nil {
				t.Fatal(err)
			}
			return conn
		},
	} {
		conn := conn()
		defer conn.Close()
		stream := coordinateStream(t, conn)
		send(t, stream, &proto.CoordinateRequest{AddTunnel: &proto.CoordinateRequest_Tunnel{Id: mine[:]}})
		send(t, stream, &proto.CoordinateRequest{AddTunnel: &proto.CoordinateRequest_Tunnel{Id: theirs[:]}})
		res, err := stream.Recv()
		if err != nil || !strings.Contains(res.Error, "refused") {
			t.Errorf("tunnel to another user's agent over %s: %v, %v, want a refusal", what, res, err)
		}
	}
}

func TestDeletedWorkspaceEndsItsClients(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	ws := d.workspace(c, "blue")
	conn, err := c.Coordinate(t.Context(), ws.LatestBuild.Resources[0].Agents[0].ID, "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := c.CreateBuild(t.Context(), ws.ID, api.CreateBuildRequest{Transition: api.TransitionDelete}); err != nil {
		t.Fatal(err)
	}
	<-conn.Closed()
	if websocket.CloseStatus(conn.Cause()) != websocket.StatusPolicyViolation {
		t.Errorf("the client's session ended with %v, want 1008", conn.Cause())
	}
}

// A log collector with the agent's token is not the agent.
func TestOtherRolesAreNotTheAgent(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	ws := d.workspace(c, "blue")
	id := ws.LatestBuild.Resources[0].Agents[0].ID
	agent := d.connect(d.agentToken(c, ws))
	d.waitConnected(c, ws, agent)
	k := *c
	k.Token = agent.token
	socket, _, err := d.dial(&k, "/api/v2/workspaceagents/me/rpc?version=2.8&role=logstream-kube")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := wire.NewClient(wire.Stream(context.Background(), socket))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := proto.NewDRPCTailnetClient(conn).RefreshResumeToken(t.Context(), &proto.RefreshResumeTokenRequest{}); !wire.Unimplemented(err) {
		t.Errorf("tailnet service of a log collector: %v, want Unimplemented", err)
	}
	conn.Close()
	if got, err := c.Agent(t.Context(), id); err != nil || got.Status != api.AgentConnected {
		t.Errorf("agent = %s, %v, want it connected still", got.Status, err)
	}
}
