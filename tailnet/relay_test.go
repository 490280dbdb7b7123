package tailnet

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"tailscale.com/derp/derpserver"
	"tailscale.com/net/stunserver"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"
	"tailscale.com/types/nettype"

	"github.com/berthdev/berth/tailnet/derpmap"
)

// testRelay is a relay and a STUN server on loopback.
type testRelay struct {
	t    testing.TB
	cert tls.Certificate
	addr string // host:port, the same after a restart
	stun int    // UDP port, -1 for none

	mu     sync.Mutex
	derp   *derpserver.Server
	server *http.Server
	done   chan struct{}
}

// startRelay starts a relay with a pinned certificate, which has the name
// relay.test, and a STUN server.
func startRelay(t testing.TB) *testRelay {
	t.Helper()
	cert, err := bridgeCertificate("relay.test")
	if err != nil {
		t.Fatal(err)
	}
	r := &testRelay{t: t, cert: cert, addr: "127.0.0.1:0", stun: startSTUN(t)}
	r.start()
	t.Cleanup(r.stop)
	return r
}

func startSTUN(t testing.TB) int {
	ctx, cancel := context.WithCancel(context.Background())
	s := stunserver.New(ctx)
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve() }()
	t.Cleanup(func() { cancel(); <-done })
	return s.LocalAddr().(*net.UDPAddr).Port
}

func (r *testRelay) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, err := net.Listen("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.addr = l.Addr().String()
	r.derp = derpserver.New(key.NewNode(), logger.Discard)
	r.server = &http.Server{
		Handler:      relayHandler(r.derp),
		TLSConfig:    &tls.Config{Certificates: []tls.Certificate{r.cert}},
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ErrorLog:     log.New(io.Discard, "", 0),
	}
	r.done = make(chan struct{})
	go func(s *http.Server, done chan struct{}) {
		defer close(done)
		s.ServeTLS(l, "", "")
	}(r.server, r.done)
}

func relayHandler(s *derpserver.Server) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/derp", derpserver.Handler(s))
	mux.HandleFunc("/derp/latency-check", derpserver.ProbeHandler)
	mux.HandleFunc("/derp/probe", derpserver.ProbeHandler)
	return mux
}

func (r *testRelay) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.server == nil {
		return
	}
	// The listener first: a node that comes back at once would stay with the
	// relay that ends.
	r.server.Close()
	<-r.done
	r.derp.Close()
	r.server = nil
}

func (r *testRelay) port() int {
	a := netip.MustParseAddrPort(r.addr)
	return int(a.Port())
}

// derpMap is a map with the relay as region 1.
func (r *testRelay) derpMap() *derpmap.Map {
	return &derpmap.Map{Regions: map[int]*derpmap.Region{1: {
		RegionID: 1, RegionCode: "test", EmbeddedRelay: true, Nodes: []*derpmap.Node{{
			Name: "1a", RegionID: 1, HostName: "127.0.0.1", DERPPort: r.port(), STUNPort: r.stun,
			CertName: pinPrefix + pinOf(r.cert), STUNTestIP: "127.0.0.1",
		}},
	}}}
}

func readWriter(c net.Conn) *bufio.ReadWriter {
	return bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c))
}

// lateSockets is a system that lets nobody have UDP until it has some.
type lateSockets struct {
	nettype.Std
	has atomic.Bool
}

func (l *lateSockets) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	if !l.has.Load() {
		return nil, errors.ErrUnsupported
	}
	return l.Std.ListenPacket(ctx, network, address)
}

// TestWithoutUDPSockets relays as long as no socket is to be had, and no longer: a
// node that began in a bad moment runs for months.
func TestWithoutUDPSockets(t *testing.T) {
	sockets := &lateSockets{}
	p := startPair(t, startRelay(t), func(cfg *Config) { cfg.PacketListener = sockets })
	serve(t, p.b, 7, echo)
	awaitPath(t, p.a, p.addrB, false)
	p.dial(t, 7)
	sockets.has.Store(true)
	p.a.Rebind()
	p.b.Rebind()
	awaitPath(t, p.a, p.addrB, true)
}
