//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berthdev/berth/tailnet/netlab"
)

// onlyWebSockets is a reverse proxy as many stand before a server: it takes the
// header Upgrade away unless it asks for a WebSocket.
const onlyWebSockets = `
daemon off;
user root;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log stderr warn;
events {}
http {
	access_log %[1]s/access.log;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	map $http_upgrade $passed_upgrade { default ""; "~*^websocket$" websocket; }
	map $passed_upgrade $passed_connection { "" close; default upgrade; }
	server {
		listen 80;
		location / {
			proxy_pass http://%[2]s;
			proxy_http_version 1.1;
			proxy_set_header Host $http_host;
			proxy_set_header Upgrade $passed_upgrade;
			proxy_set_header Connection $passed_connection;
		}
	}
}
`

// proxied is a place whose server is reached through such a proxy only, by
// plain http, so that the relay's own port is not reached at all.
func proxied(t *testing.T) (*place, *Shell) {
	t.Helper()
	p := &place{World: newWorld(t)}
	front, back := p.Host("front"), p.Host("back")
	url := "http://" + front.Addr().String()
	p.server = p.Serve(back, "--access-url", url)
	startNginx(t, p.World, front, fmt.Sprintf("%v:%d", back.Addr(), HTTPPort))
	p.office, p.home = p.Router("office", netlab.EasyNAT), p.Router("home", netlab.EasyNAT)
	p.box, p.client = p.office.Host("box"), p.home.Host("client")
	for _, h := range []*netlab.Host{p.box, p.client} {
		h.Block(netlab.Filter{Addr: back.Addr()})
	}
	p.agent = p.server.StartAgent(p.box, url, p.server.Create("ws"))
	if _, err := p.agent.WaitLine(within(t, time.Minute), "connected to the server"); err != nil {
		t.Fatal(err)
	}
	p.user = p.server.UserVia(p.client, url)
	return p, p.user.Shell("ws")
}

func TestBehindProxyThatPassesOnlyWebSockets(t *testing.T) {
	p, shell := proxied(t)
	began := time.Now()
	if r := p.user.Run(within(t, time.Minute), "ssh", "ws", "--", "echo", "through"); r.Code != 0 || r.Stdout != "through\n" {
		t.Errorf("coder ssh = %+v, want %q", r, "through\n")
	}
	t.Logf("a new session took %v", time.Since(began))
	if got := p.user.Ping(within(t, time.Minute), "ws", 5); slices.Contains(got, Direct) {
		t.Errorf("coder ping = %v, want relay only", got)
	}
	if log := accessLog(t, p.World); !strings.Contains(log, "GET /derp HTTP/1.1\" 101") {
		t.Errorf("no WebSocket to the relay went through the proxy; its log:\n%s", log)
	}
	p.server.Kill9()
	p.server.Restart()
	t.Logf("open shell answers %v after the restart", shell.MustAwait(afterRelay))
	shell.MustGoOn(3*time.Second, whileDirect)
}

func startNginx(t *testing.T, w *World, h *netlab.Host, upstream string) {
	t.Helper()
	dir := w.Dir(h.Name())
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, onlyWebSockets, dir, upstream), 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath("nginx")
	if err != nil {
		t.Fatalf("%v (Debian package: nginx-light)", err)
	}
	nginx := h.Start(exec.Command(path, "-c", file, "-p", dir, "-e", "stderr"))
	awaitListener(t, nginx, h, h.Addr().String()+":80")
}

// awaitListener waits until something listens at address.
func awaitListener(t *testing.T, p *netlab.Proc, h *netlab.Host, address string) {
	t.Helper()
	ctx := within(t, 10*time.Second)
	for {
		conn, err := h.Dial(ctx, "tcp", address)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-p.Done():
			t.Fatalf("nobody listens at %s: %s", address, p.Output())
		case <-ctx.Done():
			t.Fatalf("nobody listens at %s: %v", address, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func accessLog(t *testing.T, w *World) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(w.Dir("front"), "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
