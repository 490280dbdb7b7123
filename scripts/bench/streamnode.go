//go:build linux

package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/berthdev/berth/derp"
	"github.com/berthdev/berth/tailnet"
	"github.com/berthdev/berth/tailnet/derpmap"
	"github.com/berthdev/berth/tailnet/proto"
)

// relayPart is a relay of ours with STUN on loopback. It says its map when it
// is ready and ends with its stdin.
func relayPart(context.Context, []string) error {
	relay, err := derp.New(derp.Config{})
	if err != nil {
		return err
	}
	defer relay.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	pc, err := net.ListenPacket("udp", ln.Addr().String())
	if err != nil {
		return err
	}
	go relay.ServeTLS(ln)
	go relay.ServeSTUN(pc)
	port := ln.Addr().(*net.TCPAddr).Port
	m, err := derp.Map(derp.MapConfig{
		AccessURL: &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))},
		CertName:  relay.Keys().CertName(), STUNPort: port,
	})
	if err != nil {
		return err
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	fmt.Printf("ready %s\n", raw)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// berthEnd is a node of package tailnet.
type berthEnd struct {
	node   *tailnet.Node
	direct bool
	peer   uuid.UUID // known after the first learn
}

// newBerthEnd takes direct or relayed, and a map of relays.
func newBerthEnd(_ context.Context, args []string, tell func(string)) (network, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("%d arguments, want a path and a map", len(args))
	}
	m := new(derpmap.Map)
	if err := json.Unmarshal([]byte(args[1]), m); err != nil {
		return nil, err
	}
	b := &berthEnd{direct: args[0] == "direct"}
	id := uuid.New()
	var err error
	b.node, err = tailnet.New(tailnet.Config{
		Addresses: tailnet.AddressesFor(id), ID: tailnet.NodeID(id), DERPMap: m, BlockDirect: !b.direct,
		Self: func(rec *proto.Node) {
			raw, err := protobuf.Marshal(rec)
			if err != nil {
				panic(err) // a record is always sound
			}
			tell(id.String() + "/" + base64.StdEncoding.EncodeToString(raw))
		},
	})
	return b, err
}

func (b *berthEnd) listen() (net.Listener, error) { return b.node.ListenTCP(streamPort) }
func (b *berthEnd) Close() error                  { return b.node.Close() }

func (b *berthEnd) learn(text string) error {
	name, rest, _ := strings.Cut(text, "/")
	id, err := uuid.Parse(name)
	if err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(rest)
	if err != nil {
		return err
	}
	rec := new(proto.Node)
	if err := protobuf.Unmarshal(raw, rec); err != nil {
		return err
	}
	b.peer = id // the source reads it after its first learn, and it never changes
	return b.node.SetPeer(id, rec)
}

// lookAgain is how often a path is looked at while it is not the wanted one.
const lookAgain = 5 * time.Millisecond

func (b *berthEnd) dial(ctx context.Context) (net.Conn, error) {
	addr := tailnet.AddressFor(b.peer)
	if err := b.node.AwaitReachable(ctx, addr); err != nil {
		return nil, err
	}
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for p := b.node.Path(addr); b.direct && !p.Direct || !b.direct && !p.Relayed; p = b.node.Path(addr) {
		if err := b.node.AwaitReachable(ctx, addr); err != nil { // packets make it look for a path
			return nil, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("path to the peer is %+v: %w", p, ctx.Err())
		}
	}
	return b.node.DialTCP(ctx, netip.AddrPortFrom(addr, streamPort))
}

func (b *berthEnd) drops() uint64 {
	c := b.node.Counters()
	return c.NoPeer + c.Malformed + c.PingsDropped + c.FlowsRefused + c.StackDropped + c.GateReopened + c.RelayLost
}
