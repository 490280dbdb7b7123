package server

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"tailscale.com/derp"
	"tailscale.com/derp/derphttp"
	"tailscale.com/net/netmon"
	"tailscale.com/net/stun"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"

	relay "github.com/berthdev/berth/derp"
	"github.com/berthdev/berth/server/api"
)

// overHTTP reaches the relay on the main port as clients of an http URL do.
func (d *deployment) overHTTP(k key.NodePrivate) *derphttp.Client {
	d.t.Helper()
	c, err := derphttp.NewClient(k, d.URL().String()+"/derp", logger.Discard, netmon.NewStatic())
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	return c
}

// overTLS reaches the relay at an address under its pinned certificate.
func (d *deployment) overTLS(k key.NodePrivate, at netip.AddrPort) *derphttp.Client {
	m, _ := d.maps.Watch()
	node := &tailcfg.DERPNode{
		Name: "999b", RegionID: 999, HostName: relay.ServerName, CertName: m.Regions[999].Nodes[0].CertName,
		IPv4: at.Addr().String(), IPv6: "none", DERPPort: int(at.Port()),
	}
	c := derphttp.NewRegionClient(k, logger.Discard, netmon.NewStatic(), func() *tailcfg.DERPRegion {
		return &tailcfg.DERPRegion{RegionID: 999, Nodes: []*tailcfg.DERPNode{node}}
	})
	d.t.Cleanup(func() { c.Close() })
	return c
}

// announce makes a key that of the agent of a workspace.
func (d *deployment) announce(c *api.Client, name string) key.NodePrivate {
	d.t.Helper()
	ws := d.workspace(c, name)
	k := key.NewNode()
	n := agentNode(d.t, ws.LatestBuild.Resources[0].Agents[0].ID)
	stream := coordinateStream(d.t, d.connect(d.agentToken(c, ws)).Conn)
	send(d.t, stream, update(keyNode(d.t, k.Public(), n.Addresses...)))
	return k
}

// Rule 7: the relay takes nobody whom the coordinator does not know.
func TestRule7RelayAdmitsKnownKeysOnly(t *testing.T) {
	d := start(t, Config{keyWait: 50 * time.Millisecond})
	main := addrPort(d.Addr())
	stranger := key.NewNode()
	for what, c := range map[string]*derphttp.Client{
		"http": d.overHTTP(stranger), "TLS on the main port": d.overTLS(stranger, main), "TLS on the relay's port": d.overTLS(stranger, d.listening.relayTCP),
	} {
		if m, err := c.Recv(); err == nil {
			t.Errorf("Recv of a stranger over %s = %T, want an error", what, m)
		}
	}
	if got := d.relay.Stats(); got.Refused == 0 || got.Accepted != 0 {
		t.Errorf("relay refused %d and accepted %d", got.Refused, got.Accepted)
	}
}

func TestRelayIsReachedInEveryWay(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	one, two := d.announce(c, "one"), d.announce(c, "two")
	main := addrPort(d.Addr())
	for what, way := range map[string]func(key.NodePrivate) *derphttp.Client{
		"http":                    d.overHTTP,
		"TLS on the main port":    func(k key.NodePrivate) *derphttp.Client { return d.overTLS(k, main) },
		"TLS on the relay's port": func(k key.NodePrivate) *derphttp.Client { return d.overTLS(k, d.listening.relayTCP) },
	} {
		a, b := way(one), way(two)
		if err := b.Connect(t.Context()); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if m, err := b.Recv(); err != nil {
			t.Fatalf("%s: first message %T, %v", what, m, err)
		}
		if err := a.Send(two.Public(), []byte(what)); err != nil {
			t.Fatalf("%s: Send: %v", what, err)
		}
		for {
			m, err := b.Recv()
			if err != nil {
				t.Fatalf("%s: Recv: %v", what, err)
			}
			if p, is := m.(derp.ReceivedPacket); is {
				if string(p.Data) != what || p.Source != one.Public() {
					t.Errorf("%s: got %q from %v", what, p.Data, p.Source)
				}
				break
			}
		}
		a.Close()
		b.Close()
	}

	conn, err := net.Dial("udp", d.listening.relayTCP.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	tx := stun.NewTxID()
	if _, err := conn.Write(stun.Request(tx)); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1500)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatalf("STUN: %v", err)
	}
	if got, addr, err := stun.ParseResponse(buf[:n]); err != nil || got != tx || addr.String() != conn.LocalAddr().String() {
		t.Errorf("STUN = %v, %v, want %v", addr, err, conn.LocalAddr())
	}
}
