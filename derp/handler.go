package derp

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/coder/websocket"
	"tailscale.com/derp"
	"tailscale.com/net/wsconn"
)

const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 60 * time.Second
	// serverBuffer is for derpserver, which sees few frames.
	serverBuffer = 512
)

// Handler serves /derp and, for clients that measure by HTTP, /derp/probe and
// /derp/latency-check. A connection that it upgrades lives until Close or its
// own end, not until the end of the HTTP server.
func (r *Relay) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/derp", r.serveDERP)
	mux.HandleFunc("/derp/probe", serveProbe)
	mux.HandleFunc("/derp/latency-check", serveProbe)
	return mux
}

func serveProbe(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
}

func (r *Relay) serveDERP(w http.ResponseWriter, req *http.Request) {
	switch upgrade := req.Header.Get("Upgrade"); {
	case strings.EqualFold(upgrade, "websocket") && hasToken(req.Header.Values("Sec-Websocket-Protocol"), "derp"):
		r.serveWebSocket(w, req)
	case strings.EqualFold(upgrade, "derp") && req.ProtoMajor == 1:
		r.serveUpgrade(w, req)
	default:
		w.Header().Set("Upgrade", "DERP")
		http.Error(w, "this is a relay: upgrade to DERP or to a WebSocket of the subprotocol derp", http.StatusUpgradeRequired)
	}
}

func hasToken(values []string, token string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

func (r *Relay) serveUpgrade(w http.ResponseWriter, req *http.Request) {
	nc, brw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "this connection cannot be upgraded", http.StatusInternalServerError)
		return
	}
	defer nc.Close()
	if req.Header.Get(derp.FastStartHeader) != "1" {
		if err := r.switchProtocols(nc); err != nil {
			return
		}
	}
	tune(nc)
	r.serve(req.Context(), nc, brw.Reader, req.RemoteAddr)
}

func (r *Relay) switchProtocols(nc net.Conn) error {
	if err := nc.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n"+
		"Derp-Version: %d\r\nDerp-Public-Key: %s\r\n\r\n", derp.ProtocolVersion, r.derp.PublicKey().UntypedHexString())
	return err
}

func (r *Relay) serveWebSocket(w http.ResponseWriter, req *http.Request) {
	ws, err := websocket.Accept(w, req, &websocket.AcceptOptions{
		Subprotocols: []string{"derp"}, CompressionMode: websocket.CompressionDisabled,
		OriginPatterns: []string{"*"}, // a relay trusts keys, not origins
	})
	if err != nil {
		r.stats.garbage.Add(1)
		return
	}
	defer ws.CloseNow()
	ws.SetReadLimit(-1) // of a message, which is read in pieces; frames have their own limit
	nc := &wsConn{wsconn.NetConn(req.Context(), ws, websocket.MessageBinary, req.RemoteAddr), ws}
	r.serve(req.Context(), nc, bufio.NewReader(nc), req.RemoteAddr)
}

// wsConn is a WebSocket as a stream. Its messages are small, because clients
// refuse those over 32 KiB. Its end is not negotiated: that would take seconds
// where the client is away.
type wsConn struct {
	net.Conn
	ws *websocket.Conn
}

// wsMessage is the size of a TLS record.
const wsMessage = 16 << 10

func (c *wsConn) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		var m int
		m, err = c.Conn.Write(p[:min(len(p), wsMessage)])
		n, p = n+m, p[m:]
	}
	return n, err
}

func (c *wsConn) Close() error { return c.ws.CloseNow() }

// serve runs a client until it ends.
func (r *Relay) serve(ctx context.Context, nc net.Conn, br *bufio.Reader, remote string) {
	if !r.enter() {
		return
	}
	defer r.serving.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()

	c := newConn(nc, &r.stats)
	pumped := make(chan struct{})
	go func() {
		defer close(pumped)
		c.pump()
	}()
	defer func() { <-pumped }()
	defer c.Close()
	defer context.AfterFunc(r.ctx, func() { c.Close() })() // also when derpserver closed before it knew of c

	from, _ := netip.ParseAddrPort(remote) // zero behind a proxy that names none
	g := &gate{r: r, c: c, ctx: ctx, from: from, br: br}
	c.ready = func() { r.clients.present(g.node, c, time.Now()) }
	brw := bufio.NewReadWriter(bufio.NewReaderSize(g, serverBuffer), bufio.NewWriterSize(c, serverBuffer))
	r.derp.Accept(ctx, c, brw, remote)
	if !g.node.IsZero() {
		r.clients.leave(g.node, c)
	}
}
