//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"time"

	"tailscale.com/client/local"
	"tailscale.com/derp/derpserver"
	"tailscale.com/ipn/store/mem"
	"tailscale.com/net/stunserver"
	"tailscale.com/tailcfg"
	"tailscale.com/tsnet"
	"tailscale.com/tstest/integration/testcontrol"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"
)

// tsnetEnv keeps tsnet from speaking to anything but this machine.
var tsnetEnv = []string{"TS_NO_LOGS_NO_SUPPORT=true", "TS_DISABLE_PORTMAPPER=true"}

// tsnetControlPart is what two tsnet nodes need on loopback: a control server, a
// relay as upstream has it, and STUN. It says its URL when it is ready and ends
// with its stdin.
func tsnetControlPart(ctx context.Context, _ []string) error {
	relay := derpserver.New(key.NewNode(), logger.Discard)
	defer relay.Close()
	https := httptest.NewUnstartedServer(derpserver.Handler(relay))
	https.Config.ErrorLog = log.New(io.Discard, "", 0)
	// A relay takes over the connection, which HTTP/2 does not have.
	https.EnableHTTP2 = false
	https.StartTLS()
	defer https.Close()
	stun := stunserver.New(ctx)
	if err := stun.Listen("127.0.0.1:0"); err != nil {
		return err
	}
	go stun.Serve()
	control := &testcontrol.Server{Logf: logger.Discard, DERPMap: &tailcfg.DERPMap{
		OmitDefaultRegions: true,
		Regions: map[int]*tailcfg.DERPRegion{1: {RegionID: 1, RegionCode: "bench", Nodes: []*tailcfg.DERPNode{{
			Name: "1", RegionID: 1, HostName: "127.0.0.1", IPv4: "127.0.0.1", IPv6: "none", STUNTestIP: "127.0.0.1",
			STUNPort: stun.LocalAddr().(*net.UDPAddr).Port, DERPPort: https.Listener.Addr().(*net.TCPAddr).Port,
			InsecureForTests: true,
		}}}},
	}}
	control.HTTPTestServer = httptest.NewUnstartedServer(http.Handler(control))
	control.HTTPTestServer.Start()
	defer control.HTTPTestServer.Close()
	fmt.Println("ready " + control.HTTPTestServer.URL)
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// tsnetEnd is a node of tsnet.
type tsnetEnd struct {
	server *tsnet.Server
	direct bool
	peer   netip.Addr // known after learn
}

// newTsnetEnd takes direct or relayed, and the URL of the control server. That
// a relayed one has no UDP is the environment's business.
func newTsnetEnd(ctx context.Context, args []string, tell func(string)) (network, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("%d arguments, want a path and a URL", len(args))
	}
	dir, err := os.MkdirTemp("", "berth-bench-tsnet-")
	if err != nil {
		return nil, err
	}
	t := &tsnetEnd{direct: args[0] == "direct", server: &tsnet.Server{
		Dir: dir, Store: new(mem.Store), Hostname: "bench", Ephemeral: true, ControlURL: args[1],
		UserLogf: logger.Discard, Logf: logger.Discard,
	}}
	status, err := t.server.Up(ctx)
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	tell(status.TailscaleIPs[0].String())
	return t, nil
}

func (t *tsnetEnd) listen() (net.Listener, error) {
	return t.server.Listen("tcp", fmt.Sprintf(":%d", streamPort))
}

func (t *tsnetEnd) learn(text string) (err error) {
	t.peer, err = netip.ParseAddr(text)
	return err
}

func (t *tsnetEnd) dial(ctx context.Context) (net.Conn, error) {
	client, err := t.server.LocalClient()
	if err != nil {
		return nil, err
	}
	for ctx.Err() == nil {
		if t.pathIsAsWanted(ctx, client) {
			return t.server.Dial(ctx, "tcp", netip.AddrPortFrom(t.peer, streamPort).String())
		}
	}
	return nil, fmt.Errorf("path to the peer: %w", ctx.Err())
}

// pathIsAsWanted pings the peer. A ping that is lost, or that nobody answers
// because the peer is not known yet, is followed by the next.
func (t *tsnetEnd) pathIsAsWanted(ctx context.Context, client *local.Client) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	pong, err := client.Ping(ctx, t.peer, tailcfg.PingDisco)
	return err == nil && pong.Err == "" && (pong.Endpoint != "") == t.direct
}

// drops is not counted by tsnet where we could read it.
func (t *tsnetEnd) drops() uint64 { return 0 }

// Close also removes the files, of which the store in memory leaves few.
func (t *tsnetEnd) Close() error {
	return errors.Join(t.server.Close(), os.RemoveAll(t.server.Dir))
}
