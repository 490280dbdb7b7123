//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/tailnet/netlab"
)

// doctorTime is how long the doctor may take to find a cause.
const doctorTime = 15 * time.Second

// mustFind has the doctor look, and wants a line of its findings, what that says
// and what it advises, for people and as JSON.
func (p *place) mustFind(t *testing.T, line, hint string, args ...string) {
	t.Helper()
	var text, asJSON Result
	var looking sync.WaitGroup
	began := time.Now()
	looking.Go(func() { text = p.user.Run(within(t, patience), append([]string{"doctor"}, args...)...) })
	looking.Go(func() { asJSON = p.user.Run(within(t, patience), append([]string{"doctor", "-o", "json"}, args...)...) })
	looking.Wait()
	if took := time.Since(began); took > doctorTime {
		t.Errorf("coder doctor took %v, want at most %v", took, doctorTime)
	}
	want := regexp.MustCompile("(?m)^" + line)
	code := 0
	if strings.HasPrefix(line, "FAIL") {
		code = 1
	}
	if text.Code != code || !want.MatchString(text.Stdout) || !strings.Contains(text.Stdout, hint) {
		t.Errorf("coder doctor: exit status %d, want %d, %q and %q in\n%s%s", text.Code, code, line, hint, text.Stdout, text.Stderr)
	}
	found := func(f finding) bool { return want.MatchString(f.line()) && strings.Contains(f.Hint, hint) }
	if all := findings(t, asJSON.Stdout); asJSON.Code != code || !slices.ContainsFunc(all, found) {
		t.Errorf("coder doctor -o json: exit status %d, want %d, %q and %q in\n%s%s", asJSON.Code, code, line, hint, asJSON.Stdout, asJSON.Stderr)
	}
}

// finding is what coder doctor -o json tells of a step.
type finding struct{ Check, Status, Text, Hint string }

// line is how a finding is told to people.
func (f finding) line() string {
	word := map[string]string{"ok": "ok", "warning": "warn", "error": "FAIL"}[f.Status]
	return fmt.Sprintf("%-4s  %-9s %s", word, f.Check, f.Text)
}

// findings reads the output of coder doctor -o json. Whatever is not well comes
// with advice.
func findings(t *testing.T, text string) (all []finding) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&all); err != nil {
		t.Fatalf("coder doctor -o json = %q: %v", text, err)
	}
	for _, f := range all {
		if f.Check == "" || f.Text == "" || (f.Status == "ok") != (f.Hint == "") {
			t.Errorf("coder doctor -o json tells of %+v, want a check, a text, and a hint unless all is well", f)
		}
	}
	return all
}

func TestDoctorFindsNothing(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	r := p.user.Run(within(t, patience), "doctor", "ws")
	want := regexp.MustCompile(`(?s)^ok    dns .*\nok    connect .*\nok    server .*\nok    clock .*\nok    session   signed in as admin\nok    version .*\n` +
		`ok    websocket .*\nok    relay .*\nok    udp .*\nok    workspace running\nok    agent     connected\nok    scripts   ready\nok    agent is .*\n` +
		`ok    path .*\nok    direct .*\nok    packets .*\nok    disk .*\n$`)
	if r.Code != 0 || !want.MatchString(r.Stdout) {
		t.Errorf("coder doctor: exit status %d, want all well:\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	var lines string
	for _, f := range findings(t, p.user.MustRun("doctor", "ws", "-o", "json")) {
		lines += f.line() + "\n"
	}
	if !want.MatchString(lines) {
		t.Errorf("coder doctor -o json: want all well:\n%s", lines)
	}
}

// TestDoctorOnTheWayToTheServer injects what can be wrong before a workspace is
// asked for.
func TestDoctorOnTheWayToTheServer(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	env := p.user.Env
	with := func(more ...string) { p.user.Env = append(append([]string(nil), env...), more...) }
	session := "CODER_SESSION_TOKEN=" + strings.TrimSpace(p.user.MustRun("login", "token")) // for another URL

	with("CODER_SESSION_TOKEN=aaaaaaaaaa-bbbbbbbbbbbbbbbbbbbbbb")
	p.mustFind(t, "FAIL  session ", "coder login http://")

	with(session, "CODER_URL="+p.proxy(t, func(res *http.Response) error {
		res.Header.Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		return nil
	}))
	p.mustFind(t, "warn  clock .*-(1h0m0s|59m59s) apart", "synchronise the clock")

	with(session, "CODER_URL="+p.proxy(t, func(res *http.Response) error {
		if res.StatusCode == http.StatusSwitchingProtocols {
			return nil
		}
		body, err := io.ReadAll(res.Body)
		body = bytes.ReplaceAll(body, []byte(api.Version), []byte("v2.99.0"))
		res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		res.Header.Set("Content-Length", fmt.Sprint(len(body)))
		return err
	}))
	p.mustFind(t, `warn  version   this is v2\.34.*, the server is v2\.99\.0`, "install the coder of the server")

	with(session, "CODER_URL="+p.without(t, func(req *http.Request) bool { return req.Header.Get("Upgrade") != "" }))
	p.mustFind(t, "FAIL  websocket ", "does the reverse proxy in front pass WebSockets on")

	with(session, "CODER_URL="+p.intercepting(t))
	p.mustFind(t, "FAIL  tls .*unknown authority", "intercepting TLS")

	with(session, "CODER_URL="+p.without(t, func(req *http.Request) bool { return strings.HasPrefix(req.URL.Path, "/derp") }))
	p.mustFind(t, "FAIL  path      no relay is reached", "pass /derp on", "ws")

	with()
	p.server.Kill9()
	p.mustFind(t, "FAIL  connect ", "is the server running")
}

// TestDoctorSeesAnExpiredToken waits for the end of a token that was valid.
func TestDoctorSeesAnExpiredToken(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	token := strings.TrimSpace(p.user.MustRun("tokens", "create", "--lifetime", "3s"))
	p.user.Env = append(p.user.Env, "CODER_SESSION_TOKEN="+token)
	p.user.MustRun("whoami")
	eventually(t, "the end of a token", func() (string, bool) {
		r := p.user.Run(within(t, patience), "whoami")
		return r.Stdout, r.Code != 0
	})
	p.mustFind(t, "FAIL  session .*your session has expired", "coder login "+p.server.URL, "ws")
}

// TestDoctorSeesASilentServer has something accept connections and never answer.
func TestDoctorSeesASilentServer(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	ln, err := p.client.Listen("tcp", "127.0.0.1:0")
	serve(t, ln, err, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	env := p.user.Env
	for scheme, line := range map[string]string{"http": "FAIL  server ", "https": "FAIL  tls "} {
		p.user.Env = append(slices.Clone(env), "CODER_URL="+scheme+"://"+ln.Addr().String())
		p.mustFind(t, line, "?", "ws")
	}
}

// proxy is the URL of a reverse proxy at the client that changes answers.
func (p *place) proxy(t *testing.T, change func(*http.Response) error) string {
	return "http://" + p.serveHTTP(t, func() *httptest.Server { return httptest.NewUnstartedServer(p.reverse(t, change)) }, (*httptest.Server).Start)
}

func (p *place) reverse(t *testing.T, change func(*http.Response) error) *httputil.ReverseProxy {
	t.Helper()
	target, err := url.Parse(p.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	r := httputil.NewSingleHostReverseProxy(target)
	r.Transport = &http.Transport{DialContext: p.client.Dial, DisableKeepAlives: true}
	r.ModifyResponse = change
	r.ErrorLog = log.New(io.Discard, "", 0)
	return r
}

// serveHTTP starts a server at the client and returns its address.
func (p *place) serveHTTP(t *testing.T, make func() *httptest.Server, start func(*httptest.Server)) string {
	t.Helper()
	ln, err := p.client.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ts := make()
	ts.Listener.Close()
	ts.Listener = ln
	start(ts)
	t.Cleanup(ts.Close)
	return ln.Addr().String()
}

// without is the URL of a proxy at the client that does not pass on some
// requests.
func (p *place) without(t *testing.T, some func(*http.Request) bool) string {
	r := p.reverse(t, nil)
	return "http://" + p.serveHTTP(t, func() *httptest.Server {
		return httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if some(req) {
				http.NotFound(w, req)
				return
			}
			r.ServeHTTP(w, req)
		}))
	}, (*httptest.Server).Start)
}

// intercepting is the URL of a proxy with a certificate that nobody knows.
func (p *place) intercepting(t *testing.T) string {
	r := p.reverse(t, nil)
	return "https://" + p.serveHTTP(t, func() *httptest.Server {
		ts := httptest.NewUnstartedServer(r)
		ts.Config.ErrorLog = log.New(io.Discard, "", 0)
		return ts
	}, (*httptest.Server).StartTLS)
}

func TestDoctorSeesBlockedUDP(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	p.client.Block(netlab.Filter{Proto: "udp"})
	p.mustFind(t, "warn  udp ", "open UDP 3478", "ws")
	p.mustFind(t, "warn  direct    this network lets no UDP out", "relay", "ws")
}

func TestDoctorSeesUDPBlockedThere(t *testing.T) {
	p := &place{World: newWorld(t)}
	p.home, p.office = p.Router("home", netlab.EasyNAT), p.Router("office", netlab.EasyNAT)
	p.client, p.box = p.home.Host("client"), p.office.Host("box")
	p.box.Block(netlab.Filter{Proto: "udp"})
	p.server = p.Serve(p.Host("server"))
	p.agent = p.server.Agent(p.box, "ws")
	p.user = p.server.User(p.client)
	p.mustFind(t, "warn  direct    the workspace's network lets no UDP out", "open UDP there", "ws")
}

func TestDoctorSeesHardNATs(t *testing.T) {
	p := newPlace(t, netlab.HardNAT, netlab.HardNAT)
	p.mustFind(t, "warn  direct .*both are behind hard NATs", "full cone", "ws")
}

// TestDoctorSeesAWorkspace injects what can be wrong with a workspace.
func TestDoctorSeesAWorkspace(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	p.mustFind(t, `FAIL  workspace workspace "nothing" not found`, "coder list", "nothing")
	p.agent.Kill9()
	p.mustFind(t, "FAIL  agent     the agent main is away since", "coder agent --check", "ws")
	p.user.MustRun("stop", "ws", "--yes")
	p.mustFind(t, "FAIL  workspace it is stopped", "coder start ws", "ws")
}

func TestDoctorSeesAScriptThatHangs(t *testing.T) {
	m, home, token := configured(t, "scripts: [{display_name: Slow, run_on_start: true, start_blocks_login: true, script: 'until [ -e ~/go ]; do sleep 0.05; done'}]")
	agent := m.server.StartAgent(m.host, m.server.URL, token)
	if _, err := agent.WaitLine(within(t, patience), "connected to the server"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "scripts that run", func() (string, bool) {
		got := m.user.MustRun("show", "ws", "-o", "json")
		return got, strings.Contains(got, `"lifecycle_state": "starting"`)
	})
	(&place{World: m.World, user: m.user}).mustFind(t, "warn  scripts   the start scripts still run", "coder logs -f ws", "ws")
	touch(t, filepath.Join(home, "go"))
}

// TestDoctorSeesAFullDisk gives the agent a home without room.
func TestDoctorSeesAFullDisk(t *testing.T) {
	m := newQuietMachine(t)
	home := m.Dir(m.host.Name())
	env := []string{"CODER_AGENT_URL=" + m.server.URL, "CODER_AGENT_TOKEN=" + m.server.Create("ws"), "CODER_AGENT_LOG_DIR=" + m.Dir("logs")}
	cmd := m.World.Coder(context.Background(), m.host, env, "agent")
	full := fmt.Sprintf("mount -t tmpfs -o size=64k tmpfs %[1]s; cat /dev/zero > %[1]s/zeros; exec \"$@\"", home)
	wrapped := m.host.Command(context.Background(), "unshare", append([]string{"--mount", "sh", "-c", full, "sh", cmd.Path}, cmd.Args[1:]...)...)
	wrapped.Env = cmd.Env
	agent := m.host.Start(wrapped)
	t.Cleanup(func() {
		_ = agent.Signal(os.Interrupt)
		_ = agent.Wait(within(t, patience))
	})
	if _, err := agent.WaitLine(within(t, patience), "connected to the server"); err != nil {
		t.Fatal(err)
	}
	(&place{World: m.World, user: m.user}).mustFind(t, "FAIL  disk      full: "+regexp.QuoteMeta(home), "remove what is not needed", "ws")
}

func TestDoctorSeesASmallPathMTU(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	p.narrow(t, 1300)
	p.mustFind(t, "warn  packets   the direct path drops large packets", "MTU", "ws")
}

// TestBesideSpeedTests takes all the speed tests that the agent makes at a time. One
// more is refused in words, and to the doctor, who gets none, that says nothing of
// the path.
func TestBesideSpeedTests(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	p.forward(t, "--tcp", "30003:3")
	for isFull := false; !isFull; {
		conn, err := p.client.Dial(within(t, patience), "tcp", "127.0.0.1:30003")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err = conn.Read(make([]byte, 1)) // one who may begin waits for our request
		isFull = !errors.Is(err, os.ErrDeadlineExceeded)
	}
	r := p.user.Run(within(t, patience), "doctor", "ws")
	if r.Code != 0 || strings.Contains(r.Stdout, "packets") || !strings.Contains(r.Stdout, "ok    disk ") {
		t.Errorf("coder doctor beside speed tests: exit status %d, want no word of packets, and the steps after it:\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	r = p.user.Run(within(t, patience), "speedtest", "ws")
	if want := "error: measure: the other side refuses: 2 speed tests are being made already: try again when they are over\n"; r.Code != 1 || !strings.HasSuffix(r.Stderr, want) {
		t.Errorf("coder speedtest beside two: exit status %d, %q, want %q", r.Code, r.Stderr, want)
	}
}
