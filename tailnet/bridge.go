package tailnet

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// bridgeDialTimeout is how long a bridge tries to reach its relay;
	// upstream gives up after 10 s.
	bridgeDialTimeout = 9 * time.Second

	// bridgeConns bounds the connections through one bridge. A node has one;
	// for a moment, while it redials, two.
	bridgeConns = 8

	// bridgeCertLife is longer than any process; clocks may jump.
	bridgeCertLife = 20 * 365 * 24 * time.Hour
)

// A bridge lets upstream's relay client, which speaks TLS only and neither
// WebSocket nor headers, reach a relay by other ways. It listens on loopback
// with a certificate of its own, takes the upgrade to DERP itself and carries
// the bytes that follow. The name in the certificate is random: others on this
// machine do not know it and cannot use the bridge, which may send the user's
// secret headers.
type bridge struct {
	addr     bridgeAddr
	listener net.Listener
	tls      *tls.Config
	log      *slog.Logger
	forced   func(reason string) // told when only WebSocket works

	cancel context.CancelFunc
	tasks  sync.WaitGroup
	slots  chan struct{}

	mu     sync.Mutex // guards below
	target bridgeTarget
}

func newBridge(log *slog.Logger, forced func(string)) (*bridge, error) {
	var name [16]byte
	rand.Read(name[:]) // never fails
	host := hex.EncodeToString(name[:]) + ".bridge.invalid"
	cert, err := bridgeCertificate(host)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &bridge{
		addr:     bridgeAddr{host: host, pin: pinOf(cert), port: l.Addr().(*net.TCPAddr).Port},
		listener: l, log: log, forced: forced, slots: make(chan struct{}, bridgeConns),
		tls: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13},
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	b.tasks.Go(func() { b.accept(ctx) })
	return b, nil
}

func bridgeCertificate(host string) (tls.Certificate, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bridge"}, DNSNames: []string{host},
		NotBefore: now.Add(-bridgeCertLife), NotAfter: now.Add(bridgeCertLife),
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &k.PublicKey, k)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}, err
}

func (b *bridge) setTarget(t bridgeTarget) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.target.sameRelay(t) {
		t.webSocket = t.webSocket || b.target.webSocket
	}
	b.target = t
}

func (b *bridge) close() {
	b.cancel()
	b.listener.Close()
	b.tasks.Wait()
}

func (b *bridge) accept(ctx context.Context) {
	for {
		c, err := b.listener.Accept()
		if err != nil {
			return
		}
		select {
		case b.slots <- struct{}{}:
			b.tasks.Go(func() {
				defer func() { <-b.slots }()
				b.serve(ctx, c)
			})
		default:
			c.Close()
		}
	}
}

// serve carries one connection of upstream's client.
func (b *bridge) serve(ctx context.Context, raw net.Conn) {
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	raw.SetDeadline(time.Now().Add(bridgeDialTimeout))
	c := tls.Server(raw, b.tls)
	br := bufio.NewReader(c)
	req, err := http.ReadRequest(br)
	if err != nil || !strings.HasPrefix(req.Host, b.addr.host) {
		return
	}
	if req.URL.Path != "/derp" { // upstream measures the latency
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		return
	}
	relay, err := b.dial(ctx)
	if err != nil {
		b.log.Debug("bridge to relay", "err", err)
		fmt.Fprintf(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		return
	}
	defer relay.Close()
	stopRelay := context.AfterFunc(ctx, func() { relay.Close() })
	defer stopRelay()
	raw.SetDeadline(time.Time{})
	if _, err := io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n"); err != nil {
		return
	}
	b.carry(br, c, relay)
}

// carry copies both ways until one ends.
func (b *bridge) carry(from io.Reader, c, relay net.Conn) {
	var wg sync.WaitGroup
	wg.Go(func() {
		io.CopyBuffer(struct{ io.Writer }{relay}, struct{ io.Reader }{from}, make([]byte, 64<<10))
		relay.Close()
		c.Close()
	})
	io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{relay}, make([]byte, 64<<10))
	relay.Close()
	c.Close()
	wg.Wait()
}

// dial reaches the relay by the upgrade to DERP and, once that was refused,
// by WebSocket for good.
func (b *bridge) dial(life context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(life, bridgeDialTimeout)
	defer cancel()
	b.mu.Lock()
	t := b.target
	b.mu.Unlock()
	if t.webSocket {
		return t.dialWebSocket(ctx, life)
	}
	c, err := t.dialUpgrade(ctx)
	var refused *refusedUpgrade
	if !errors.As(err, &refused) {
		return c, err
	}
	c, err = t.dialWebSocket(ctx, life)
	if err == nil {
		b.mu.Lock()
		b.target.webSocket = true
		b.mu.Unlock()
		b.forced(refused.Error())
	}
	return c, err
}

// pinOf is the hash by which a certificate is pinned.
func pinOf(c tls.Certificate) string {
	sum := sha256.Sum256(c.Certificate[0])
	return hex.EncodeToString(sum[:])
}
