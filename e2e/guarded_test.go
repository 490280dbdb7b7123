//go:build linux

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berthdev/berth/tailnet/netlab"
)

// guarded is a place whose server is reached by TLS only, from an authority that
// nobody knows, and only by clients that show a certificate.
type guarded struct {
	*place
	front *netlab.Host
	proxy *httputil.ReverseProxy
	ca    *authority
	dir   string // with the files ca.pem, cert.pem and key.pem
	flags []string
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	g := &guarded{place: &place{World: newWorld(t)}, ca: newAuthority(t)}
	var back *netlab.Host
	g.front, back = g.Host("front"), g.Host("back")
	g.home = g.Router("home", netlab.EasyNAT)
	g.client, g.box = g.home.Host("client"), g.Host("box")
	g.server = g.Serve(back)
	g.agent = g.server.StartAgent(g.box, g.server.URL, g.server.Create("ws"))
	g.client.Block(netlab.Filter{Addr: back.Addr()})
	to, err := url.Parse(g.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	g.proxy = httputil.NewSingleHostReverseProxy(to)
	g.proxy.Transport = &http.Transport{DialContext: g.front.Dial}
	g.serve(t, 443, g.proxy)
	g.dir = g.Dir("client")
	g.ca.save(t, g.dir, g.ca.issue(t, g.client.Addr()))
	g.flags = []string{
		"--client-tls-ca-file", filepath.Join(g.dir, "ca.pem"),
		"--client-tls-cert-file", filepath.Join(g.dir, "cert.pem"), "--client-tls-key-file", filepath.Join(g.dir, "key.pem"),
	}
	g.user = g.server.UserVia(g.client, "https://"+g.front.Addr().String(), g.flags...)
	return g
}

// serve serves what demands certificates.
func (g *guarded) serve(t *testing.T, port int, handler http.Handler) {
	t.Helper()
	serveOn(t, g.front, port, handler, &tls.Config{
		Certificates: []tls.Certificate{g.ca.issue(t, g.front.Addr())}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: g.ca.pool(),
	})
}

// serveOn serves HTTP, or HTTPS with cfg, until the test ends.
func serveOn(t *testing.T, h *netlab.Host, port int, handler http.Handler, cfg *tls.Config) {
	t.Helper()
	ln, err := h.Listen("tcp", fmt.Sprintf("%v:%d", h.Addr(), port))
	if err != nil {
		t.Fatal(err)
	}
	if cfg != nil {
		cfg.NextProtos = []string{"http/1.1"}
		ln = tls.NewListener(ln, cfg)
	}
	server := &http.Server{Handler: handler}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(ln) })
	t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
	})
}

// TestServerThatDemandsClientCertificates has HTTP, WebSockets and the relay
// behind a proxy that demands certificates of clients.
func TestServerThatDemandsClientCertificates(t *testing.T) {
	g := newGuarded(t)
	if r := g.user.Run(within(t, time.Minute), append(slices.Clone(g.flags), "ssh", "ws", "--", "echo", "through")...); r.Code != 0 || r.Stdout != "through\n" {
		t.Errorf("coder ssh with a certificate = %+v, want %q", r, "through\n")
	}
	g.client.Block(netlab.Filter{Addr: g.box.Addr()})
	began := time.Now()
	if r := g.user.Run(within(t, time.Minute), append(slices.Clone(g.flags), "--disable-direct-connections", "ssh", "ws", "--", "echo", "relayed")...); r.Code != 0 || r.Stdout != "relayed\n" {
		t.Errorf("coder ssh with a certificate, relay only = %+v, want %q", r, "relayed\n")
	}
	t.Logf("a session through the relay took %v", time.Since(began))
	if r := g.user.Run(within(t, time.Minute), append(slices.Clone(g.flags), "doctor", "ws")...); r.Code != 0 || !strings.Contains(r.Stdout, "ok    tls ") {
		t.Errorf("coder doctor with a certificate = %+v", r)
	}
	if r := g.user.Run(within(t, time.Minute), append(g.flags[:2:2], "whoami")...); r.Code == 0 || !strings.Contains(r.Stderr, "certificate required") {
		t.Errorf("coder whoami without a certificate = %+v, want that one is required", r)
	}
	if r := g.user.Run(within(t, time.Minute), "whoami"); r.Code == 0 || !strings.Contains(r.Stderr, "unknown authority") {
		t.Errorf("coder whoami without the authority = %+v, want that it is unknown", r)
	}
}

// TestOpenSSHShowsTheCertificate has config-ssh write what ssh needs.
func TestOpenSSHShowsTheCertificate(t *testing.T) {
	g := newGuarded(t)
	config := filepath.Join(g.dir, "ssh_config")
	if r := g.user.Run(within(t, time.Minute), append(slices.Clone(g.flags), "config-ssh", "--yes", "--ssh-config-file", config)...); r.Code != 0 {
		t.Fatalf("config-ssh = %+v", r)
	}
	if r := g.Run(g.user.OpenSSH(within(t, time.Minute), "ssh", "-F", config, "ws.coder", "echo through")); r.Code != 0 || r.Stdout != "through\n" {
		t.Errorf("ssh ws.coder = %+v, want %q", r, "through\n")
	}
}

// TestProxyThatKnowsWhoseTheCertificateIs signs in without a token, which the
// proxy in front adds.
func TestProxyThatKnowsWhoseTheCertificateIs(t *testing.T) {
	g := newGuarded(t)
	token := strings.TrimSpace(g.server.User(g.server.Host).MustRun("login", "token"))
	g.serve(t, 8443, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Coder-Session-Token", token)
		g.proxy.ServeHTTP(w, r)
	}))
	url := fmt.Sprintf("https://%v:8443", g.front.Addr())
	flags := append(slices.Clone(g.flags), "--url", url, "--global-config", filepath.Join(g.dir, "other"))
	if r := g.user.Run(within(t, time.Minute), append(slices.Clone(flags), "login", "--use-token-as-session", url)...); r.Code != 0 || r.Stdout != "Signed in to "+url+" as admin.\n" {
		t.Errorf("coder login without a token = %+v", r)
	}
	if r := g.user.Run(within(t, time.Minute), append(flags, "ssh", "ws", "--", "echo", "through")...); r.Code != 0 || r.Stdout != "through\n" {
		t.Errorf("coder ssh without a token = %+v, want %q", r, "through\n")
	}
}

// TestThroughConnectProxy lets the client reach nothing but a proxy of its
// company, by CONNECT.
func TestThroughConnectProxy(t *testing.T) {
	g := newGuarded(t)
	gate := g.Host("gate")
	connects := &connectProxy{dial: gate.Dial}
	serveOn(t, gate, 3128, connects, nil)
	for _, h := range []*netlab.Host{g.front, g.box} {
		g.client.Block(netlab.Filter{Addr: h.Addr()})
	}
	if r := g.user.Run(within(t, 3*time.Second), append(slices.Clone(g.flags), "whoami")...); r.Code == 0 {
		t.Fatalf("the server is reached without the proxy: %+v", r)
	}
	g.user.Env = append(g.user.Env, fmt.Sprintf("HTTPS_PROXY=http://%v:3128", gate.Addr()))
	began := time.Now()
	if r := g.user.Run(within(t, time.Minute), append(slices.Clone(g.flags), "ssh", "ws", "--", "echo", "through")...); r.Code != 0 || r.Stdout != "through\n" {
		t.Errorf("coder ssh through the proxy = %+v, want %q", r, "through\n")
	}
	t.Logf("a session through the proxy took %v", time.Since(began))
	want := []string{g.front.Addr().String() + ":443"}
	if got := connects.targets(); !slices.Equal(got, want) {
		t.Errorf("the proxy was asked for %q, want %q", got, want)
	}
	g.user.Env = append(g.user.Env, "NO_PROXY="+g.front.Addr().String())
	if r := g.user.Run(within(t, 3*time.Second), append(slices.Clone(g.flags), "whoami")...); r.Code == 0 {
		t.Errorf("coder whoami with NO_PROXY = %+v, want it to fail", r)
	}
}

// connectProxy is an HTTP proxy that only knows CONNECT.
type connectProxy struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu    sync.Mutex // guards asked
	asked []string
}

func (p *connectProxy) targets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.Sort(p.asked)
	return slices.Compact(p.asked)
}

func (p *connectProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Host)
	p.mu.Unlock()
	if r.Method != http.MethodConnect {
		http.Error(w, "only CONNECT", http.StatusMethodNotAllowed)
		return
	}
	to, err := p.dial(r.Context(), "tcp", r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer to.Close()
	from, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer from.Close()
	if _, err := io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	var copying sync.WaitGroup
	for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
		copying.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			_, _ = pair[0].Close(), pair[1].Close()
		})
	}
	copying.Wait()
}

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of the test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &key.PublicKey, key)
	if err == nil {
		a.cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// issue makes a certificate of a host for servers and clients.
func (a *authority) issue(t *testing.T, addr netip.Addr) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: addr.String()}, IPAddresses: []net.IP{addr.AsSlice()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// save writes what a client needs to dir.
func (a *authority) save(t *testing.T, dir string, c tls.Certificate) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]pem.Block{
		"ca.pem": {Type: "CERTIFICATE", Bytes: a.cert.Raw}, "cert.pem": {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, "key.pem": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
