package tailnet

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/berthdev/berth/tailnet/derpmap"
)

// examineTimeout bounds each dial.
const examineTimeout = 5 * time.Second

// examineRelay finds out how upstream, or else a bridge, can reach n. It
// returns false if nothing answered at all: then the network is the cause and
// no other way would do better.
func examineRelay(ctx context.Context, n *derpmap.Node) (way, bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*examineTimeout)
	defer cancel()
	if pin, ok := strings.CutPrefix(n.CertName, pinPrefix); ok {
		pinned, reached := speaksPinned(ctx, n, pin)
		if pinned || !reached {
			return wayGiven, reached
		}
	}
	if n.ForceHTTP {
		return wayBridge, true
	}
	upgrades, reached := upgradesToDERP(ctx, n)
	if upgrades {
		return wayPublic, true
	}
	return wayBridge, reached
}

// speaksPinned reports whether n ends TLS with the pinned certificate, and
// whether a TCP connection could be made at all.
func speaksPinned(ctx context.Context, n *derpmap.Node, pin string) (ok, reached bool) {
	conn, err := dialRelay(ctx, n)
	if err != nil {
		return false, false
	}
	defer conn.Close()
	t := tls.Client(conn, &tls.Config{
		InsecureSkipVerify: true, // the pin is compared instead
		VerifyConnection: func(cs tls.ConnectionState) error {
			for _, c := range cs.PeerCertificates {
				if isPinned(c, pin) {
					return nil
				}
			}
			return fmt.Errorf("relay %s: not the pinned certificate", n.Name)
		},
	})
	return t.HandshakeContext(ctx) == nil, true
}

func isPinned(c *x509.Certificate, pin string) bool {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:]) == pin
}

// upgradesToDERP reports whether n, over TLS checked by name, takes the upgrade
// that upstream asks for.
func upgradesToDERP(ctx context.Context, n *derpmap.Node) (ok, reached bool) {
	conn, err := dialRelay(ctx, n)
	if err != nil {
		return false, false
	}
	defer conn.Close()
	t := tls.Client(conn, &tls.Config{ServerName: n.HostName, InsecureSkipVerify: n.InsecureForTests})
	if err := t.HandshakeContext(ctx); err != nil {
		return false, true
	}
	resp, _, err := askUpgrade(ctx, t, n.HostName, nil)
	if err != nil {
		return false, true
	}
	return resp.StatusCode == http.StatusSwitchingProtocols, true
}

// askUpgrade asks on conn for DERP and returns the answer and what reads on
// behind it.
func askUpgrade(ctx context.Context, conn net.Conn, host string, header http.Header) (*http.Response, *bufio.Reader, error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	req := &http.Request{Method: http.MethodGet, Host: host, Header: header.Clone()}
	req.URL = mustURL(host)
	if req.Header == nil {
		req.Header = http.Header{}
	}
	if h := req.Header.Get("Host"); h != "" {
		req.Host = h
	}
	req.Header.Set("Upgrade", "DERP")
	req.Header.Set("Connection", "Upgrade")
	if err := req.Write(conn); err != nil {
		return nil, nil, err
	}
	br := bufio.NewReader(conn)
	resp, err := http.ReadResponse(br, req)
	if err != nil {
		return nil, nil, err
	}
	return resp, br, nil
}

func dialRelay(ctx context.Context, n *derpmap.Node) (net.Conn, error) {
	d := net.Dialer{Timeout: examineTimeout}
	return d.DialContext(ctx, "tcp", net.JoinHostPort(n.HostName, strconv.Itoa(portOf(n))))
}
