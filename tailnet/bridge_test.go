package tailnet

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"tailscale.com/derp/derpserver"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"

	"github.com/berthdev/berth/tailnet/derpmap"
)

// front is an HTTP server in front of a relay that passes what it is told to.
type front struct {
	relay      *derpserver.Server
	upgrade    bool   // passes Upgrade: DERP
	header     string // wanted in every request, "Name: value"
	upgrades   atomic.Int32
	webSockets atomic.Int32
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if name, value, ok := strings.Cut(f.header, ": "); ok && r.Header.Get(name) != value {
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	switch {
	case r.URL.Path != "/derp":
		http.NotFound(w, r)
	case strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
		f.webSockets.Add(1)
		f.serveWebSocket(w, r)
	case f.upgrade:
		f.upgrades.Add(1)
		derpserver.Handler(f.relay).ServeHTTP(w, r)
	default:
		http.Error(w, "only WebSockets pass", http.StatusBadRequest)
	}
}

func (f *front) serveWebSocket(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"derp"}, CompressionMode: websocket.CompressionDisabled})
	if err != nil || c.Subprotocol() != "derp" {
		return
	}
	defer c.CloseNow()
	nc := websocket.NetConn(r.Context(), c, websocket.MessageBinary)
	f.relay.Accept(r.Context(), nc, readWriter(nc), r.RemoteAddr)
}

// startFront starts a front; secure makes it end TLS with a certificate that
// nobody knows.
func startFront(t *testing.T, f *front, secure bool) *derpmap.Map {
	f.relay = derpserver.New(key.NewNode(), logger.Discard)
	s := httptest.NewUnstartedServer(f)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(func() { f.relay.Close(); s.Close() })
	return &derpmap.Map{Regions: map[int]*derpmap.Region{999: {
		RegionID: 999, RegionCode: "front", EmbeddedRelay: true, Nodes: []*derpmap.Node{{
			Name: "999b", RegionID: 999, HostName: "127.0.0.1", DERPPort: s.Listener.Addr().(*net.TCPAddr).Port,
			STUNPort: -1, ForceHTTP: !secure, InsecureForTests: secure,
		}},
	}}}
}

func TestBridge(t *testing.T) {
	secret := http.Header{"X-Access": {"secret"}}
	for _, tt := range []struct {
		name      string
		front     *front
		secure    bool
		pinned    bool // the map pins a certificate that the front does not have
		change    func(cfg *Config)
		webSocket bool // how it must be reached
		reason    bool // the record must say why
	}{
		{name: "plain HTTP", front: &front{upgrade: true}},
		{name: "plain HTTP, only WebSockets", front: &front{}, webSocket: true, reason: true},
		{name: "plain HTTP behind a pin", front: &front{upgrade: true}, pinned: true},
		{name: "plain HTTP behind a pin, only WebSockets", front: &front{}, pinned: true, webSocket: true, reason: true},
		{name: "TLS, only WebSockets", front: &front{}, secure: true, webSocket: true, reason: true},
		{name: "forced WebSockets", front: &front{upgrade: true}, change: func(cfg *Config) { cfg.ForceWebSockets = true }, webSocket: true},
		{name: "headers", front: &front{upgrade: true, header: "X-Access: secret"}, change: func(cfg *Config) { cfg.Header = secret }},
		{name: "headers, only WebSockets", front: &front{header: "X-Access: secret"}, change: func(cfg *Config) { cfg.Header = secret }, webSocket: true, reason: true},
		{name: "headers over TLS", front: &front{upgrade: true, header: "X-Access: secret"}, secure: true, change: func(cfg *Config) { cfg.Header = secret }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := startFront(t, tt.front, tt.secure)
			if tt.pinned {
				m.Regions[999].Nodes[0].CertName = pinPrefix + strings.Repeat("0", 64)
			}
			p := startPair(t, nil, func(cfg *Config) {
				cfg.DERPMap, cfg.BlockDirect = m, true
				if tt.change != nil {
					tt.change(cfg)
				}
			})
			serve(t, p.b, 7, bulkServer)
			awaitPath(t, p.a, p.addrB, false)
			if _, err := bulk(p.dial(t, 7), 'u', 8<<20, nil); err != nil {
				t.Fatalf("bulk through the bridge = %v, want nil", err)
			}
			if got := tt.front.webSockets.Load() > 0; got != tt.webSocket {
				t.Errorf("WebSocket used = %v, want %v", got, tt.webSocket)
			}
			if got := tt.front.upgrades.Load() > 0; got == tt.webSocket {
				t.Errorf("upgrade to DERP used = %v, want %v", got, !tt.webSocket)
			}
			p.a.self.mu.Lock()
			reason := p.a.self.now.DerpForcedWebsocket[999]
			p.a.self.mu.Unlock()
			if (reason != "") != tt.reason {
				t.Errorf("reason for WebSocket in the record = %q, want one: %v", reason, tt.reason)
			}
		})
	}
}

func TestPinnedRelayNeedsNoBridge(t *testing.T) {
	p := startPair(t, startRelay(t), func(cfg *Config) {
		cfg.BlockDirect = true
		cfg.DERPMap.Regions[1].Nodes[0].ForceHTTP = true
	})
	awaitPath(t, p.a, p.addrB, false)
	if got := len(p.a.relays.bridges); got != 0 {
		t.Errorf("%d bridges, want none for a relay with a pinned certificate", got)
	}
}

func TestBridgeIsOnlyForTheNode(t *testing.T) {
	b, err := newBridge(testLoggerOrDiscard(t), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	var f front
	startFront(t, &f, false)
	c, err := tls.Dial("tcp", b.listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, "GET /derp HTTP/1.1\r\nHost: localhost\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n")
	if got, _ := io.ReadAll(c); len(got) != 0 {
		t.Errorf("a request without the bridge's name was answered %q, want nothing", got)
	}
}
