//go:build linux

package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/agent/health"
	"github.com/berthdev/berth/agent/host"
	"github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/agent/script"
	"github.com/berthdev/berth/agent/stats"
	"github.com/berthdev/berth/connect/resume"
	"github.com/berthdev/berth/tailnet"
	"github.com/berthdev/berth/tailnet/derpmap"
	"github.com/berthdev/berth/tailnet/netstack"
	tailnetproto "github.com/berthdev/berth/tailnet/proto"
)

// sessionPorts are the ports of the tailnet that lead to the session host. 1 is
// the SSH port of existing clients, 22 that of everybody else; 5 is ours, in the
// range that existing clients leave alone.
var sessionPorts = map[uint16]string{
	1: host.KindSSH, 22: host.KindSSH, 2: host.KindTerminal, resume.Port: host.KindResume,
}

// lastReservedPort is the highest port that belongs to the agent itself; the
// ports above lead to the workspace's own loopback.
const lastReservedPort = 8

// network is what lasts as long as the agent: the node and what it serves.
type network struct {
	cfg      Config
	node     *tailnet.Node
	control  *tailnet.Control
	host     *host.Client
	metadata *health.Metadata
	apps     *health.Apps
	ports    stats.Ports
	served   sync.WaitGroup
	stop     context.CancelFunc
	once     sync.Once
	setup    host.Setup // of the session with the server that is or was last

	manifest  atomic.Pointer[proto.Manifest] // the last one
	lines     *lastLines                     // of the log
	netchecks *netchecks

	reported atomic.Uint64 // number of the last event that the server has
	scripts  atomic.Uint64 // the same of what scripts did

	ended chan struct{}                 // closed when the host has ended
	left  []host.Numbered[script.Event] // what scripts did last; set before that
}

func newNetwork(cfg Config, lines *lastLines, m *proto.Manifest) (*network, error) {
	id, err := uuid.FromBytes(m.GetAgentId())
	if err != nil || id == uuid.Nil {
		return nil, errors.New("the manifest has no agent id")
	}
	relays, err := relayMap(cfg, m)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	n := &network{cfg: cfg, stop: stop, ended: make(chan struct{}), lines: lines, netchecks: newNetchecks()}
	n.manifest.Store(m)
	n.host = host.NewClient(host.ClientConfig{
		Name: host.Name(cfg.Client.URL.String() + " " + cfg.Client.Token), Start: cfg.StartHost, Version: cfg.Version, Log: cfg.Log,
	})
	n.metadata, n.apps = health.NewMetadata(n.runScript), health.NewApps()
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
	if err := n.serveSessions(ctx, m); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	n.watch(m)
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

// serveSessions connects users to the session host.
func (n *network) serveSessions(ctx context.Context, m *proto.Manifest) error {
	n.setup = n.setupFor(m)
	if err := n.host.Attach(ctx, n.setup); err != nil {
		return err
	}
	for port, kind := range sessionPorts {
		ln, err := n.node.ListenTCP(port)
		if err != nil {
			return fmt.Errorf("listen on tailnet port %d: %w", port, err)
		}
		n.served.Go(func() { n.forward(ctx, ln, kind) })
	}
	for port, serve := range map[uint16]func(context.Context, net.Listener){
		apiPort: n.serveAPI, speedtestPort: n.serveSpeedtests,
	} {
		ln, err := n.node.ListenTCP(port)
		if err != nil {
			return fmt.Errorf("listen on tailnet port %d: %w", port, err)
		}
		n.served.Go(func() { serve(ctx, ln) })
	}
	n.served.Go(func() { n.serveMetrics(ctx) })
	return nil
}

// apply takes over what a later manifest changed. Sessions that run go on as
// they are.
func (n *network) apply(ctx context.Context, m *proto.Manifest) error {
	relays, err := relayMap(n.cfg, m)
	if err != nil {
		return err
	}
	n.manifest.Store(m)
	next := n.setupFor(m)
	next.Banners = n.setup.Banners
	n.setup = next
	if err := n.host.Set(ctx, next); err != nil {
		return err
	}
	n.watch(m)
	return n.node.SetDERPMap(relays)
}

// setupFor is what the manifest says about sessions.
func (n *network) setupFor(m *proto.Manifest) host.Setup {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/"
	}
	return host.Setup{
		Workspace: idFrom(m.GetWorkspaceId()), Agent: m.GetAgentName(), Options: n.cfg.Sessions, Scripts: scripts(m),
		Env: environment(m, n.cfg.Client.Token, script.BinDir(n.cfg.Sessions.DataDir), n.cfg.Program), Dir: directory(m.GetDirectory(), home), MOTD: m.GetMotdPath(),
	}
}

// coordinate keeps the node informed of its peers until the session ends.
func (n *network) coordinate(ctx context.Context, rpc tailnetproto.DRPCTailnetClient) error {
	if err := n.control.Run(ctx, n.node, rpc); err != nil {
		return fmt.Errorf("coordinate: %w", err)
	}
	return errors.New("the coordinator ended the stream")
}

// endSessions ends every session of a user, has the scripts of the stop run, and
// ends the host. It is done once.
func (n *network) endSessions() {
	n.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cmp.Or(n.cfg.Sessions.StopTimeout, host.DefaultStopTimeout)+endGrace)
		defer cancel()
		left, err := n.host.End(ctx, n.scripts.Load())
		if err != nil {
			n.cfg.Log.Warn("end the sessions", "err", err)
		}
		n.left = left
		close(n.ended)
	})
}

// endGrace is what the end of sessions, and of scripts that do not heed SIGTERM,
// takes at most.
const endGrace = 20 * time.Second

// Close leaves the sessions to the host, and ends the node.
func (n *network) Close() error {
	n.stop()
	err := errors.Join(n.metadata.Close(), n.apps.Close(), n.host.Close(), n.node.Close())
	n.served.Wait()
	return err
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
