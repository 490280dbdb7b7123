//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/google/uuid"

	"github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/agent/sshd"
	"github.com/berthdev/berth/tailnet"
	"github.com/berthdev/berth/tailnet/derpmap"
	"github.com/berthdev/berth/tailnet/netstack"
	tailnetproto "github.com/berthdev/berth/tailnet/proto"
)

// sshPorts are the ports of the SSH server on the tailnet: 1 is that of
// existing clients, 22 that of everybody else.
var sshPorts = []uint16{1, 22}

// lastReservedPort is the highest port that belongs to the agent itself; the
// ports above lead to the workspace's own loopback.
const lastReservedPort = 8

// network is what lasts as long as the agent: the node and what it serves.
type network struct {
	cfg     Config
	node    *tailnet.Node
	control *tailnet.Control
	ssh     *sshd.Server
	served  sync.WaitGroup
	stop    context.CancelFunc

	mu    sync.Mutex // guards below
	login sshd.Login
}

func newNetwork(cfg Config, m *proto.Manifest) (*network, error) {
	id, err := uuid.FromBytes(m.GetAgentId())
	if err != nil || id == uuid.Nil {
		return nil, errors.New("the manifest has no agent id")
	}
	relays, err := relayMap(cfg, m)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	n := &network{cfg: cfg, stop: stop}
	n.setLogin(m)
	n.control = tailnet.NewControl(tailnet.ControlConfig{Access: cfg.Client.URL, Agent: true, Logger: cfg.Log})
	n.node, err = tailnet.New(tailnet.Config{
		Addresses: tailnet.AddressesFor(id), ID: tailnet.NodeID(id), DERPMap: relays, Self: n.control.Self,
		BlockDirect: m.GetDisableDirectConnections(), ForceWebSockets: m.GetDerpForceWebsockets(), Header: cfg.Client.Header,
		TCP: forwardTCP, UDP: forwardUDP, Logger: cfg.Log,
	})
	if err != nil {
		stop()
		return nil, err
	}
	if err := n.serveSSH(ctx, m); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func relayMap(cfg Config, m *proto.Manifest) (*derpmap.Map, error) {
	relays, err := derpmap.FromProto(m.GetDerpMap()).Via(cfg.Client.URL)
	if err != nil {
		return nil, err
	}
	if err := relays.Check(); err != nil {
		return nil, fmt.Errorf("relays of the manifest: %w", err)
	}
	return relays, nil
}

func (n *network) serveSSH(ctx context.Context, m *proto.Manifest) error {
	key, err := sshd.HostKey(idFrom(m.GetWorkspaceId()), m.GetAgentName())
	if err != nil {
		return err
	}
	n.ssh = sshd.New(key, sshd.Config{
		Login:   func(context.Context) sshd.Login { return n.currentLogin() },
		Environ: inherited(os.Environ()), Log: n.cfg.Log,
	})
	for _, port := range sshPorts {
		ln, err := n.node.ListenTCP(port)
		if err != nil {
			return fmt.Errorf("listen on tailnet port %d: %w", port, err)
		}
		n.served.Go(func() {
			if err := n.ssh.Serve(ctx, ln); err != nil {
				n.cfg.Log.Error("the SSH server ended", "port", port, "err", err)
			}
		})
	}
	return nil
}

// apply takes over what a later manifest changed. Sessions that run go on as
// they are.
func (n *network) apply(m *proto.Manifest) error {
	relays, err := relayMap(n.cfg, m)
	if err != nil {
		return err
	}
	n.setLogin(m)
	return n.node.SetDERPMap(relays)
}

func (n *network) setLogin(m *proto.Manifest) {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/"
	}
	login := sshd.Login{
		Env: environment(m, n.cfg.Client.Token), Dir: directory(m.GetDirectory(), home), MOTD: m.GetMotdPath(),
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.login = login
}

func (n *network) currentLogin() sshd.Login {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.login
}

// coordinate keeps the node informed of its peers until the session ends.
func (n *network) coordinate(ctx context.Context, rpc tailnetproto.DRPCTailnetClient) error {
	if err := n.control.Run(ctx, n.node, rpc); err != nil {
		return fmt.Errorf("coordinate: %w", err)
	}
	return errors.New("the coordinator ended the stream")
}

// stats counts what goes on now.
func (n *network) stats() *proto.Stats {
	sessions := int64(n.ssh.Counters().ActiveConnections)
	return &proto.Stats{
		ConnectionMedianLatencyMs: -1e-3, // unknown, as existing agents say it
		SessionCountSsh:           sessions, SessionCounts: map[string]int64{"ssh": sessions},
	}
}

// closeSSH ends every session of a user.
func (n *network) closeSSH() {
	if n.ssh != nil {
		if err := n.ssh.Close(); err != nil {
			n.cfg.Log.Warn("end SSH sessions", "err", err)
		}
	}
}

// Close ends sessions, then the node.
func (n *network) Close() error {
	n.closeSSH()
	n.stop()
	n.served.Wait()
	return n.node.Close()
}

var errReserved = errors.New("the port is the agent's own")

func forwardTCP(ctx context.Context, f netstack.Flow) (func(net.Conn), error) {
	if f.Destination.Port() <= lastReservedPort {
		return nil, errReserved
	}
	return netstack.LoopbackTCP(ctx, f)
}

func forwardUDP(ctx context.Context, f netstack.Flow) (func(net.Conn), error) {
	if f.Destination.Port() <= lastReservedPort {
		return nil, errReserved
	}
	return netstack.LoopbackUDP(ctx, f)
}

// idFrom returns the text of an id, or "" when it is not one.
func idFrom(raw []byte) string {
	id, err := uuid.FromBytes(raw)
	if err != nil {
		return ""
	}
	return id.String()
}
