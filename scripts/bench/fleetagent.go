//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"
	"tailscale.com/derp/derphttp"
	"tailscale.com/net/netmon"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"

	agentproto "github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/tailnet"
	"github.com/berthdev/berth/tailnet/derpmap"
	"github.com/berthdev/berth/tailnet/proto"
)

// The waits between two tries of package agent.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 1500 * time.Millisecond
)

// fleet is many agents without nodes.
type fleet struct {
	url    *url.URL
	size   int64
	relay  chan struct{} // closed when they shall connect to their relay
	inline chan struct{} // bounds TLS handshakes under way

	sessions [8]atomic.Int64 // how many agents have had their first, second, … session
	relayed  atomic.Int64
}

// fleetPart runs agents until its stdin ends: its arguments are the URL of the
// server and a file of tokens. It says "all live 1" when all have had their
// first session, and so on. The line "relay" on its stdin makes all connect to
// their relay, after which it says "all relayed".
func fleetPart(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("fleet %q: want a URL and a file of tokens", args)
	}
	u, err := url.Parse(args[0])
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	tokens := strings.Fields(string(raw))
	f := &fleet{url: u, size: int64(len(tokens)), relay: make(chan struct{}), inline: make(chan struct{}, 64)}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for _, token := range tokens {
		a := &fleetAgent{fleet: f, key: key.NewNode(), client: &api.Client{URL: u, Token: token, HTTP: &http.Client{Transport: &http.Transport{}}}}
		running.Go(func() { a.stayConnected(ctx) })
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if lines.Text() == "relay" {
			close(f.relay)
		}
	}
	return nil
}

// fleetAgent is one agent.
type fleetAgent struct {
	*fleet
	key    key.NodePrivate
	client *api.Client
	number int // sessions that it has had
}

// stayConnected does what package agent does.
func (a *fleetAgent) stayConnected(ctx context.Context) {
	wait := firstRetry
	for ctx.Err() == nil {
		if before := a.number; a.session(ctx) != nil && a.number > before {
			wait = firstRetry
		}
		select {
		case <-time.After(wait/2 + rand.N(wait)):
		case <-ctx.Done():
		}
		wait = min(2*wait, lastRetry)
	}
}

// session holds one connection until it breaks.
func (a *fleetAgent) session(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := a.client.AgentRPC(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	rpc := agentproto.NewDRPCAgentClient(conn)
	m, err := rpc.GetManifest(ctx, &agentproto.GetManifestRequest{})
	if err != nil {
		return err
	}
	if err := a.report(ctx, rpc); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.coordinate(ctx, proto.NewDRPCTailnetClient(conn), m) })
	g.Go(func() error { return a.reportStats(ctx, rpc) })
	g.Go(func() error { return a.holdRelay(ctx, m) })
	g.Go(func() error {
		select {
		case <-conn.Closed():
			return errors.New("the connection broke")
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return g.Wait()
}

// report says the version, and in the first session the lifecycle.
func (a *fleetAgent) report(ctx context.Context, rpc agentproto.DRPCAgentClient) error {
	_, err := rpc.UpdateStartup(ctx, &agentproto.UpdateStartupRequest{Startup: &agentproto.Startup{Version: api.Version, ExpandedDirectory: "/root"}})
	if err != nil || a.number > 0 {
		return err
	}
	for _, state := range []agentproto.Lifecycle_State{agentproto.Lifecycle_STARTING, agentproto.Lifecycle_READY} {
		l := &agentproto.Lifecycle{State: state, ChangedAt: timestamppb.Now()}
		if _, err := rpc.UpdateLifecycle(ctx, &agentproto.UpdateLifecycleRequest{Lifecycle: l}); err != nil {
			return err
		}
	}
	return nil
}

func (a *fleetAgent) reportStats(ctx context.Context, rpc agentproto.DRPCAgentClient) error {
	req := &agentproto.UpdateStatsRequest{}
	for {
		res, err := rpc.UpdateStats(ctx, req)
		if err != nil {
			return err
		}
		select {
		case <-time.After(res.GetReportInterval().AsDuration()):
		case <-ctx.Done():
			return ctx.Err()
		}
		req = &agentproto.UpdateStatsRequest{Stats: &agentproto.Stats{ConnectionMedianLatencyMs: -1e-3}}
	}
}

// coordinate publishes the agent's record; then the agent is live.
func (a *fleetAgent) coordinate(ctx context.Context, rpc proto.DRPCTailnetClient, m *agentproto.Manifest) error {
	stream, err := rpc.Coordinate(ctx)
	if err != nil {
		return err
	}
	maps, err := rpc.StreamDERPMaps(ctx, &proto.StreamDERPMapsRequest{})
	if err != nil {
		return err
	}
	rec, err := a.record(m)
	if err != nil {
		return err
	}
	if err := stream.Send(&proto.CoordinateRequest{UpdateSelf: &proto.CoordinateRequest_UpdateSelf{Node: rec}}); err != nil {
		return err
	}
	if _, err := maps.Recv(); err != nil {
		return err
	}
	a.live()
	_, err = stream.Recv()
	return err
}

func (a *fleetAgent) live() {
	a.number++
	if a.number <= len(a.sessions) && a.sessions[a.number-1].Add(1) == a.size {
		fmt.Println("all live", a.number)
	}
}

// record is what a node publishes before it has measured anything.
func (a *fleetAgent) record(m *agentproto.Manifest) (*proto.Node, error) {
	id, err := uuid.FromBytes(m.GetAgentId())
	if err != nil {
		return nil, err
	}
	public, err := a.key.Public().MarshalBinary()
	if err != nil {
		return nil, err
	}
	disco, err := key.NewDisco().Public().MarshalText()
	if err != nil {
		return nil, err
	}
	rec := &proto.Node{Id: tailnet.NodeID(id), AsOf: timestamppb.Now(), Key: public, Disco: string(disco)}
	for _, p := range tailnet.AddressesFor(id) {
		rec.Addresses = append(rec.Addresses, p.String())
		rec.AllowedIps = append(rec.AllowedIps, p.String())
	}
	for region := range m.GetDerpMap().GetRegions() {
		rec.PreferredDerp = int32(region)
	}
	return rec, nil
}

// holdRelay is a connection to the relay, as a node has one, after the order
// for it came.
func (a *fleetAgent) holdRelay(ctx context.Context, m *agentproto.Manifest) error {
	select {
	case <-a.relay:
	case <-ctx.Done():
		return ctx.Err()
	}
	relays, err := derpmap.FromProto(m.GetDerpMap()).Via(a.url)
	if err != nil {
		return err
	}
	c := derphttp.NewRegionClient(a.key, logger.Discard, netmon.NewStatic(), func() *tailcfg.DERPRegion { return regionOf(relays) })
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	a.inline <- struct{}{}
	err = c.Connect(ctx)
	<-a.inline
	if err != nil {
		return err
	}
	if a.relayed.Add(1) == a.size {
		fmt.Println("all relayed")
	}
	for {
		if _, err := c.Recv(); err != nil {
			return err
		}
	}
}

// regionOf is the relay of a server on loopback, as upstream writes it.
func regionOf(m *derpmap.Map) *tailcfg.DERPRegion {
	for id, r := range m.Regions {
		n := r.Nodes[0]
		return &tailcfg.DERPRegion{RegionID: id, RegionCode: r.RegionCode, Nodes: []*tailcfg.DERPNode{{
			Name: n.Name, RegionID: id, HostName: n.HostName, IPv4: n.HostName, IPv6: "none", CertName: n.CertName, DERPPort: n.DERPPort,
		}}}
	}
	return nil
}
