package derp

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
	"tailscale.com/derp"
	"tailscale.com/derp/derphttp"
	"tailscale.com/disco"
	"tailscale.com/net/netmon"
	"tailscale.com/net/wsconn"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("tailscale.com/net/netmon.(*Monitor).Start"))
}

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// site is a relay with its main port, which speaks HTTP and TLS.
type site struct {
	relay *Relay
	split *Split
	addr  string
}

func newSite(t testing.TB, cfg Config) *site {
	t.Helper()
	relay, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{relay: relay, split: NewSplit(ln), addr: ln.Addr().String()}
	web := &http.Server{Handler: relay.Handler(), ReadHeaderTimeout: time.Second, ErrorLog: relay.garbageLog("http")}
	served := make(chan error, 2)
	go func() { served <- relay.ServeTLS(s.split.TLS()) }()
	go func() {
		if err := web.Serve(s.split.Plain()); err != http.ErrServerClosed {
			served <- err
		}
		served <- nil
	}()
	t.Cleanup(func() {
		err := errors.Join(web.Close(), relay.Close(), relay.Close(), s.split.Close(), s.split.Close(), <-served, <-served)
		if err != nil {
			t.Errorf("close relay: %v", err)
		}
	})
	return s
}

// client is what the ways in have in common.
type client interface {
	Send(key.NodePublic, []byte) error
	Recv() (derp.ReceivedMessage, error)
}

func (s *site) node(t testing.TB) *tailcfg.DERPNode {
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return &tailcfg.DERPNode{Name: "999b", RegionID: 999, HostName: ServerName, IPv4: host, IPv6: "none", DERPPort: n, CertName: s.relay.Keys().CertName()}
}

func (s *site) dialTLS(t testing.TB, k key.NodePrivate) *derphttp.Client {
	node := s.node(t)
	return started(t, derphttp.NewRegionClient(k, logger.Discard, netmon.NewStatic(), func() *tailcfg.DERPRegion {
		return &tailcfg.DERPRegion{RegionID: 999, RegionCode: "x", Nodes: []*tailcfg.DERPNode{node}}
	}))
}

func (s *site) dialHTTP(t testing.TB, k key.NodePrivate) *derphttp.Client {
	c, err := derphttp.NewClient(k, "http://"+s.addr+"/derp", logger.Discard, netmon.NewStatic())
	if err != nil {
		t.Fatal(err)
	}
	return started(t, c)
}

func started(t testing.TB, c *derphttp.Client) *derphttp.Client {
	t.Cleanup(func() { c.Close() })
	return c
}

func (s *site) dialWebSocket(t testing.TB, k key.NodePrivate) *derp.Client {
	t.Helper()
	ws, res, err := websocket.Dial(context.Background(), "ws://"+s.addr+"/derp", &websocket.DialOptions{Subprotocols: []string{"derp"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Sec-Websocket-Protocol"); got != "derp" {
		t.Errorf("subprotocol = %q, want derp", got)
	}
	t.Cleanup(func() { ws.CloseNow() })
	nc := wsconn.NetConn(context.Background(), ws, websocket.MessageBinary, s.addr)
	c, err := derp.NewClient(k, nc, bufio.NewReadWriter(bufio.NewReader(nc), bufio.NewWriter(nc)), logger.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// receive returns the next packet.
func receive(t testing.TB, c client) derp.ReceivedPacket {
	t.Helper()
	for {
		m, err := c.Recv()
		if err != nil {
			t.Fatalf("Recv = %v", err)
		}
		if p, ok := m.(derp.ReceivedPacket); ok {
			return p
		}
	}
}

// up waits until the relay knows c.
func up(t testing.TB, c client) {
	t.Helper()
	for {
		m, err := c.Recv()
		if err != nil {
			t.Fatalf("connect: %v", err)
		}
		if _, ok := m.(derp.ServerInfoMessage); ok {
			return
		}
	}
}

func TestThreeWaysIn(t *testing.T) {
	s := newSite(t, Config{})
	clients := map[string]client{}
	keys := map[string]key.NodePrivate{}
	for _, name := range []string{"tls", "upgrade", "websocket"} {
		k := key.NewNode()
		keys[name] = k
		switch name {
		case "tls":
			clients[name] = s.dialTLS(t, k)
		case "upgrade":
			clients[name] = s.dialHTTP(t, k)
		case "websocket":
			clients[name] = s.dialWebSocket(t, k)
		}
		up(t, clients[name])
	}
	big := bytes.Repeat([]byte("x"), derp.MaxPacketSize)
	for from, c := range clients {
		for to, d := range clients {
			for _, packet := range [][]byte{[]byte("hello from " + from), big} {
				if from == to {
					continue
				}
				if err := c.Send(keys[to].Public(), packet); err != nil {
					t.Fatalf("%s: Send = %v", from, err)
				}
				got := receive(t, d)
				if got.Source != keys[from].Public() || !bytes.Equal(got.Data, packet) {
					t.Errorf("%s got %.20q from %v, want %.20q from %v", to, got.Data, got.Source, packet, keys[from].Public())
				}
			}
		}
	}
	got := s.relay.Stats()
	if got.Clients != 3 || got.Accepted != 3 || got.PacketsIn != 12 || got.PacketsOut != 12 || got.Dropped != 0 {
		t.Errorf("Stats = %+v, want 3 clients, 12 packets in and out, none dropped", got)
	}
}

func TestPinnedCertificateIsChecked(t *testing.T) {
	s := newSite(t, Config{})
	other, err := GenerateKeys()
	if err != nil {
		t.Fatal(err)
	}
	node := s.node(t)
	node.CertName = other.CertName()
	c := started(t, derphttp.NewRegionClient(key.NewNode(), logger.Discard, netmon.NewStatic(), func() *tailcfg.DERPRegion {
		return &tailcfg.DERPRegion{RegionID: 999, Nodes: []*tailcfg.DERPNode{node}}
	}))
	if err := c.Connect(t.Context()); err == nil || !strings.Contains(err.Error(), "hash") {
		t.Errorf("Connect with another pin = %v, want an error about the hash", err)
	}
}

// upgrade returns a connection that speaks DERP from here on.
func (s *site) upgrade(t testing.TB) net.Conn {
	t.Helper()
	nc := s.dial(t)
	if _, err := io.WriteString(nc, "GET /derp HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: DERP\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	var head []byte
	for b := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, b...) {
		if _, err := nc.Read(b); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		t.Fatalf("upgrade was answered %q, want 101", head)
	}
	return nc
}

func (s *site) dial(t testing.TB) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

// wantClosed reads until the other side closes.
func wantClosed(t testing.TB, nc net.Conn) {
	t.Helper()
	if err := nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, nc); errors.Is(err, net.ErrClosed) || isTimeout(err) {
		t.Errorf("connection stayed open for %v: %v", patience, err)
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func TestGarbageIsClosedAndCounted(t *testing.T) {
	for name, tt := range map[string]struct {
		send string
		wrap bool // in TLS
	}{
		"neither":                     {send: "\x00\x01\x02"},
		"broken TLS":                  {send: "\x16\x03\x01\x00\x05hello"},
		"HTTP in TLS that is not one": {send: "\x00\x00\r\n\r\n", wrap: true},
		"DERP that is none":           {send: "GET /derp HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: DERP\r\n\r\nnot a frame"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, Config{})
			nc := s.dial(t)
			if tt.wrap {
				nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
			}
			if _, err := io.WriteString(nc, tt.send); err != nil {
				t.Fatal(err)
			}
			wantClosed(t, nc)
			if got := s.relay.Stats().Garbage + s.split.Garbage(); got != 1 && !tt.wrap {
				t.Errorf("garbage = %d, want 1", got)
			}
			up(t, s.dialTLS(t, key.NewNode())) // the others are served
		})
	}
}

func TestPlainRequestsAreAnswered(t *testing.T) {
	s := newSite(t, Config{})
	for path, want := range map[string]int{"/derp": 426, "/derp/latency-check": 200, "/derp/probe": 200, "/other": 404} {
		res, err := http.Get("http://" + s.addr + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("GET %s = %d, want %d", path, res.StatusCode, want)
		}
	}
	res, err := http.Post("http://"+s.addr+"/derp/probe", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST = %d, want 405", res.StatusCode)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestRestartedRelayIsReachedAgain(t *testing.T) {
	keys, err := GenerateKeys()
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	serve := func(ln net.Listener) (*Relay, chan error) {
		r, err := New(Config{Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- r.ServeTLS(ln) }()
		return r, served
	}
	first, served := serve(ln)
	s := &site{relay: first, addr: addr}
	k := key.NewNode()
	c := s.dialTLS(t, k)
	up(t, c)
	if err := errors.Join(first.Close(), <-served); err != nil {
		t.Fatal(err)
	}
	for _, err := c.Recv(); err == nil; _, err = c.Recv() {
	}
	if ln, err = net.Listen("tcp", addr); err != nil {
		t.Fatal(err)
	}
	second, served := serve(ln)
	up(t, c) // it dials again, and the pin still holds
	if err := errors.Join(second.Close(), <-served); err != nil {
		t.Error(err)
	}
	if err := second.ServeTLS(ln); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Errorf("ServeTLS after Close = %v", err)
	}
}

func TestHandshakeWaitsForItsPeer(t *testing.T) {
	s := newSite(t, Config{})
	first, late := key.NewNode(), key.NewNode()
	c := s.dialTLS(t, first)
	up(t, c)
	// One that looks like disco, as only those are answered when nobody is there.
	handshake := append([]byte(disco.Magic), bytes.Repeat([]byte{1}, 142)...)
	if err := c.Send(late.Public(), handshake); err != nil {
		t.Fatal(err)
	}
	for { // it is told that the other is not here
		m, err := c.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if gone, ok := m.(derp.PeerGoneMessage); ok {
			if gone.Peer != late.Public() {
				t.Errorf("peer gone = %v, want %v", gone.Peer, late.Public())
			}
			break
		}
	}
	if got := receive(t, s.dialTLS(t, late)); got.Source != first.Public() || !bytes.Equal(got.Data, handshake) {
		t.Errorf("late peer got %d bytes from %v, want the handshake of %v", len(got.Data), got.Source, first.Public())
	}
}
