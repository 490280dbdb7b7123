package diagnose

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"

	"tailscale.com/net/stun"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/tailnet/derpmap"
)

const (
	// maxClockSkew is how far clocks may be apart before certificates and logs
	// suffer.
	maxClockSkew = time.Minute
	// stunTries is how often UDP is tried: a packet may be lost.
	stunTries = 3
)

// Server is what is found out about the way to a server and its relays. Client is
// required; its token is not needed.
type Server struct {
	Client *api.Client
	// Relays are those that Relay and UDP try; a step before them sets it.
	Relays *derpmap.Map
	// Version is what the server says it is, once Steps asked it.
	Version string

	answered time.Time // by the server's clock, when it answered
	asked    time.Time
}

// Steps lead to the server: name, connection, certificate, answer, clock.
func (k *Server) Steps() []Step {
	return []Step{k.resolve, k.connect, k.secure, k.server, k.clock}
}

func (k *Server) resolve(ctx context.Context) Finding {
	host := k.Client.URL.Hostname()
	f := Finding{What: "dns", Text: host + " is an address"}
	if _, err := netip.ParseAddr(host); err == nil {
		return f
	}
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	f.Text, f.Err, f.Hint = fmt.Sprintf("%s is %v", host, addrs), err, "is the name right, and does /etc/resolv.conf name a server that knows it?"
	if proxyOf(k.Client.URL) != nil && err != nil {
		f.Mild, f.Hint = true, "a proxy is set, which may know the name"
	}
	return f
}

// proxyOf is the proxy for the server, or nil.
func proxyOf(u *url.URL) *url.URL {
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	if err != nil {
		return nil
	}
	return proxy
}

func (k *Server) connect(ctx context.Context) Finding {
	target := k.Client.URL
	f := Finding{What: "connect", Hint: "is the server running, and does a firewall let this machine reach it?"}
	if proxy := proxyOf(target); proxy != nil {
		target, f.Hint = proxy, "is the proxy of HTTPS_PROXY running?"
	}
	address := net.JoinHostPort(target.Hostname(), portOf(target))
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		f.Err = err
		return f
	}
	f.Text = "TCP to " + conn.RemoteAddr().String()
	f.Err = conn.Close()
	return f
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// secure looks at the certificate; what is wrong with it is said better here
// than by a call that fails.
func (k *Server) secure(ctx context.Context) Finding {
	if k.Client.URL.Scheme != "https" || proxyOf(k.Client.URL) != nil {
		return Finding{}
	}
	f := Finding{What: "tls"}
	secure := k.Client.TLS.Clone()
	if secure == nil {
		secure = &tls.Config{}
	}
	secure.ServerName = k.Client.URL.Hostname()
	dialer := tls.Dialer{Config: secure}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(k.Client.URL.Hostname(), portOf(k.Client.URL)))
	if err != nil {
		f.Err, f.Hint = err, tlsHint(err)
		return f
	}
	defer conn.Close()
	cert := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
	f.Text = fmt.Sprintf("certificate of %s by %s, until %s", cert.Subject.CommonName, cert.Issuer.CommonName, cert.NotAfter.Format(time.DateOnly))
	return f
}

func tlsHint(err error) string {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		issuer := ""
		if unknown.Cert != nil {
			issuer = " (it is issued by " + unknown.Cert.Issuer.String() + ")"
		}
		return "this machine does not know who issued the certificate" + issuer + ": install that authority's, or is something between intercepting TLS?"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the server's certificate, or set this machine's clock: it says " + time.Now().Format(time.RFC3339)
	}
	return "does the port speak TLS, and is the certificate for this name?"
}

func (k *Server) server(ctx context.Context) Finding {
	f := Finding{What: "server", Hint: "is this the URL of the server, and does the reverse proxy in front pass requests on?"}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.Client.URL.JoinPath("/api/v2/buildinfo").String(), nil)
	if err != nil {
		f.Err = err
		return f
	}
	req.Header = k.Client.Header.Clone()
	k.asked = time.Now()
	res, err := k.Client.HTTP.Do(req)
	if err != nil {
		f.Err = err
		return f
	}
	defer res.Body.Close()
	if k.answered, err = http.ParseTime(res.Header.Get("Date")); err != nil {
		k.answered = time.Time{}
	}
	info, err := k.Client.BuildInfo(ctx)
	k.Version = info.Version
	f.Text, f.Err = "version "+info.Version, err
	return f
}

func (k *Server) clock(context.Context) Finding {
	if k.answered.IsZero() {
		return Finding{}
	}
	skew := k.asked.Sub(k.answered).Round(time.Second)
	f := Finding{What: "clock", Text: fmt.Sprintf("%v apart from the server's", skew), Mild: true, Hint: "synchronise the clock of this machine, or of the server"}
	if skew > maxClockSkew || skew < -maxClockSkew {
		f.Err = fmt.Errorf("this machine's clock is %v apart from the server's", skew)
	}
	return f
}

// Relay asks each relay for a sign of life: without any, nobody reaches the
// workspace.
func (k *Server) Relay(ctx context.Context) Finding {
	f := Finding{What: "relay", Hint: "open the relay's TCP port (3478) in the firewall, or pass WebSockets on to the server; see docs/architecture.md"}
	var errs []error
	for _, n := range relayNodes(k.Relays) {
		if n.STUNOnly {
			continue
		}
		host := hostOf(n)
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", host)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		f.Text = "TCP to " + conn.RemoteAddr().String()
		_ = conn.Close()
		return f
	}
	f.Err = errors.Join(append(errs, errors.New("no relay is reached"))...)
	f.Mild = proxyOf(k.Client.URL) != nil // through which the agent goes, and this did not
	return f
}

// relayNodes are those of all regions, in order.
func relayNodes(m *derpmap.Map) (all []*derpmap.Node) {
	var ids []int
	for id := range m.Regions {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		all = append(all, m.Regions[id].Nodes...)
	}
	return all
}

func hostOf(n *derpmap.Node) string {
	port := n.DERPPort
	if port == 0 {
		port = 443
	}
	return net.JoinHostPort(addressOfNode(n), strconv.Itoa(port))
}

func addressOfNode(n *derpmap.Node) string {
	for _, address := range []string{n.IPv4, n.IPv6} {
		if _, err := netip.ParseAddr(address); err == nil {
			return address
		}
	}
	return n.HostName
}

// UDP asks a STUN server for our address: without an answer there are no direct
// connections.
func (k *Server) UDP(ctx context.Context) Finding {
	f := Finding{What: "udp", Mild: true, Hint: "open UDP 3478 to the server for direct connections; without it everything goes through the relay"}
	for _, n := range relayNodes(k.Relays) {
		if n.STUNPort < 0 {
			continue
		}
		port := n.STUNPort
		if port == 0 {
			port = derpmap.DefaultSTUNPort
		}
		own, err := askSTUN(ctx, net.JoinHostPort(addressOfNode(n), strconv.Itoa(port)))
		if err == nil {
			f.Text, f.Err = "seen as "+own.String(), nil
			return f
		}
		f.Err = err
	}
	if f.Err == nil {
		return Finding{}
	}
	return f
}

func askSTUN(ctx context.Context, server string) (netip.AddrPort, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "udp", server)
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer conn.Close()
	buf := make([]byte, 1500)
	for range stunTries {
		id := stun.NewTxID()
		if _, err := conn.Write(stun.Request(id)); err != nil {
			return netip.AddrPort{}, err
		}
		if err := conn.SetReadDeadline(time.Now().Add(stepTimeout / (stunTries + 1))); err != nil {
			return netip.AddrPort{}, err
		}
		n, err := conn.Read(buf)
		if err != nil {
			continue
		}
		if got, own, err := stun.ParseResponse(buf[:n]); err == nil && got == id {
			return own, nil
		}
	}
	return netip.AddrPort{}, fmt.Errorf("no answer from %s over UDP", server)
}
