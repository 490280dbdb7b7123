//go:build linux

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/proxy"

	"github.com/berthdev/berth/tailnet/netlab"
)

// The editors reach workspaces with OpenSSH and a section of its configuration
// that their extensions write. These are the sections, and the sessions that
// follow, of the Coder extension for VS Code and of the plugin for JetBrains
// Toolbox.

// editorHost stands for the server in the names that the extensions make up.
const editorHost = "berth.example.com"

// editor is OpenSSH with the configuration of an editor's extension.
type editor struct {
	p        *place
	config   string // the file
	host     string // the workspace in it
	net, log string // the directories that the extension gives to coder ssh
}

// newEditor writes the configuration: what there is for the hosts named
// prefix--*, and the flags of coder before and after its ssh.
//
// The options that the server sends stand first, as ssh takes the first of a name:
// the extension for VS Code replaces its own by them.
func newEditor(t *testing.T, p *place, name, prefix string, before, after []string, sessionType string) *editor {
	t.Helper()
	e := &editor{p: p, config: filepath.Join(p.Dir(name), "config"), net: p.Dir(name + "-net"), log: p.Dir(name + "-log")}
	proxy := slices.Concat([]string{p.binary, "--global-config", p.server.config}, before, []string{"ssh"}, after,
		[]string{"--network-info-dir", e.net, "--log-dir", e.log, "-v", "--ssh-host-prefix", prefix + "--", "--", "%h"})
	section := fmt.Sprintf("Host %s--*\n", prefix)
	if sessionType == "vscode" {
		for name, value := range p.sentSSHOptions(t) {
			section += fmt.Sprintf("  %s %s\n", name, value)
		}
	}
	section += fmt.Sprintf(`  ConnectTimeout 0
  LogLevel ERROR
  ProxyCommand %s
  ServerAliveCountMax 3
  ServerAliveInterval 10
  SetEnv CODER_SSH_SESSION_TYPE=%s
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
`, strings.Join(proxy, " "), sessionType)
	if err := os.WriteFile(e.config, []byte(section), 0o600); err != nil {
		t.Fatal(err)
	}
	e.host = prefix + "--admin--ws.main"
	return e
}

// sentSSHOptions are what the server wants in configurations of OpenSSH.
func (p *place) sentSSHOptions(t *testing.T) map[string]string {
	t.Helper()
	req, err := http.NewRequestWithContext(within(t, patience), http.MethodGet, p.server.URL+"/api/v2/deployment/ssh", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Coder-Session-Token", strings.TrimSpace(p.user.MustRun("login", "token")))
	transport := &http.Transport{DialContext: hostDialer{p.client}.DialContext, DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatalf("ask for the options of OpenSSH: %v", err)
	}
	defer resp.Body.Close()
	var sent struct {
		Options map[string]string `json:"ssh_config_options"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&sent); err != nil {
		t.Fatalf("ask for the options of OpenSSH: %s: %v", resp.Status, err)
	}
	return sent.Options
}

// start starts ssh with the editor's configuration, and nothing in its
// environment that tells of Berth. Its input is open until the test ends or the
// function is called.
func (e *editor) start(t *testing.T, args ...string) (ssh *netlab.Proc, input io.Writer, endInput func()) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	t.Cleanup(func() { w.Close() })
	stranger := &User{Host: e.p.client, world: e.p.World}
	cmd := stranger.OpenSSH(t.Context(), "ssh", append([]string{"-F", e.config, "-T"}, args...)...)
	cmd.Stdin = r
	return e.p.client.Start(cmd), w, func() { w.Close() }
}

func (e *editor) run(t *testing.T, program, stdin string, args ...string) Result {
	t.Helper()
	stranger := &User{Host: e.p.client, world: e.p.World}
	cmd := stranger.OpenSSH(within(t, time.Minute), program, append([]string{"-F", e.config, "-o", "BatchMode=yes"}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	return e.p.Run(cmd)
}

// editorServer is what an editor installs in a workspace: a program that listens
// on loopback and on a socket, and outlives the connection that began it.
const editorServer = `
const http = require('http'), fs = require('fs')
const answer = (req, res) => { res.end('editor server'); if (req.url === '/stop') process.exit(0) }
http.createServer(answer).listen(0, '127.0.0.1', function () { fs.writeFileSync('port', String(this.address().port)) })
http.createServer(answer).listen('socket', () => fs.writeFileSync('ready', ''))
setTimeout(() => process.exit(1), 120000)
`

// installScript is what the editor writes to bash.
const installScript = `set -e
mkdir -p ~/.vscode-server/cli && cd ~/.vscode-server/cli
cat > server.js <<'END'` + editorServer + `END
nohup node server.js > log 2>&1 < /dev/null &
until [ -s port ] && [ -e ready ]; do sleep 0.05; done
echo "listeningOn==127.0.0.1:$(cat port)=="
echo "socket==$PWD/socket=="
exec cat
`

var marker = regexp.MustCompile(`(?m)^(\w+)==(.*)==\r?$`)

func TestVSCodeSession(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	e := newEditor(t, p, "vscode", "coder-vscode."+editorHost, nil, []string{"--disable-autostart", "--stdio", "--usage-app=vscode"}, "vscode")

	// The install script goes to bash without a terminal, and over the same
	// connection the editor reaches what listens on the workspace's loopback.
	proc, input, endInput := e.start(t, "-D", "1080", e.host, "bash")
	if _, err := io.WriteString(input, installScript); err != nil {
		t.Fatal(err)
	}
	if _, err := proc.WaitLine(within(t, patience), "socket=="); err != nil {
		t.Fatalf("the install script: %v\n%s", err, proc.Output())
	}
	said := map[string]string{}
	for _, m := range marker.FindAllStringSubmatch(proc.Output(), -1) {
		said[m[1]] = m[2]
	}

	socks := socksClient(t, p.client, "127.0.0.1:1080")
	_, port, _ := net.SplitHostPort(said["listeningOn"])
	for _, host := range []string{"127.0.0.1", "localhost"} {
		if got, err := get(socks, "http://"+net.JoinHostPort(host, port)); got != "editor server" {
			t.Errorf("GET http://%s through the dynamic forward = %q, %v; want the editor's server", host, got, err)
		}
	}
	began := time.Now()
	if got, err := get(socks, "http://127.0.0.1:1"); err == nil {
		t.Errorf("GET of a closed port through the dynamic forward = %q, want an error", got)
	} else if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a closed port was refused after %v, want at once", took)
	}
	if got, err := get(socks, "http://"+said["listeningOn"]); got != "editor server" {
		t.Errorf("GET after a refused one = %q, %v; want the editor's server", got, err)
	}

	e.mustTellOfThePath(t, proc.PID())
	p.mustReport(t, "vscode")
	endInput() // the window is closed: bash ends, and ssh with it
	if err := proc.Wait(within(t, patience)); err != nil {
		t.Errorf("ssh after the end of its input = %v, want status 0", err)
	}

	// The server goes on, and the next window reaches it by its socket.
	local := filepath.Join(p.Dir("vscode"), "server.sock")
	forward, _, _ := e.start(t, "-L", local+":"+said["socket"], e.host, "echo forwarded; cat")
	if _, err := forward.WaitLine(within(t, patience), "forwarded"); err != nil {
		t.Fatalf("ssh -L with a socket: %v\n%s", err, forward.Output())
	}
	bySocket := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return p.client.Dial(ctx, "unix", local)
	}}, Timeout: patience}
	if got, err := get(bySocket, "http://server/stop"); got != "editor server" {
		t.Errorf("GET through the forwarded socket = %q, %v; want the server of the window before", got, err)
	}
}

// mustTellOfThePath looks for the two files that the extensions read while ssh,
// TestVSCodeOutage keeps the network away for longer than OpenSSH waits for a sign
// of life by what the extension writes: the session goes on afterwards.
func TestVSCodeOutage(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	e := newEditor(t, p, "vscode", "coder-vscode."+editorHost, nil, []string{"--disable-autostart", "--stdio", "--usage-app=vscode"}, "vscode")
	ssh, input, _ := e.start(t, e.host, "cat")
	said := func(word string) {
		t.Helper()
		if _, err := io.WriteString(input, word+"\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := ssh.WaitLine(within(t, patience), word); err != nil {
			t.Fatalf("the echo of %q: %v\n%s", word, err, ssh.Output())
		}
	}
	said("before")
	p.client.Link().Set(netlab.Conditions{Down: true})
	passes(t, 45*time.Second)
	p.client.Link().Set(netlab.Conditions{})
	said("after")
}

// which has that process id, is connected.
func (e *editor) mustTellOfThePath(t *testing.T, pid int) {
	t.Helper()
	written, err := os.ReadFile(filepath.Join(e.net, fmt.Sprint(pid)+".json"))
	if err != nil {
		t.Fatalf("the file about the path: %v", err)
	}
	var info map[string]any
	if err := json.Unmarshal(written, &info); err != nil {
		t.Fatalf("the file about the path is %q: %v", written, err)
	}
	for _, key := range []string{"p2p", "latency", "preferred_derp", "derp_latency", "upload_bytes_sec", "download_bytes_sec", "using_coder_connect"} {
		if info[key] == nil {
			t.Errorf("the file about the path is %s, want %s in it", written, key)
		}
	}
	if logs, err := filepath.Glob(filepath.Join(e.log, fmt.Sprintf("coder-ssh-*-%d.log", pid))); err != nil || len(logs) != 1 {
		t.Errorf("logs of ssh %d = %q, %v; want one", pid, logs, err)
	}
}

// socksClient makes its connections through a SOCKS proxy at a host, which
// resolves names.
func socksClient(t *testing.T, at *netlab.Host, address string) *http.Client {
	t.Helper()
	dialer, err := proxy.SOCKS5("tcp", address, nil, hostDialer{at})
	if err != nil {
		t.Fatal(err)
	}
	dial := dialer.(proxy.ContextDialer).DialContext
	return &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: patience}
}

// hostDialer dials from a host of the lab.
type hostDialer struct{ *netlab.Host }

func (h hostDialer) Dial(network, address string) (net.Conn, error) {
	return h.DialContext(context.Background(), network, address)
}

func (h hostDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return h.Host.Dial(ctx, network, address)
}

func get(c *http.Client, url string) (string, error) {
	res, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

// archiveSize is about that of the program which Toolbox uploads.
const archiveSize = 60 << 20

// TestToolboxSession uploads an archive and runs many short commands, all over
// one connection.
func TestToolboxSession(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	prefix := "coder-jetbrains-toolbox-" + editorHost
	e := newEditor(t, p, "toolbox", prefix, []string{"--url", p.server.URL}, []string{"--stdio", "--disable-autostart", "--usage-app=jetbrains"}, "JetBrains")
	mux := filepath.Join(p.Dir("toolbox"), "mux")
	master, _, _ := e.start(t, "-M", "-S", mux, e.host, "echo connected; cat")
	if _, err := master.WaitLine(within(t, patience), "connected"); err != nil {
		t.Fatalf("ssh -M: %v\n%s", err, master.Output())
	}
	over := []string{"-o", "ControlPath=" + mux, "-o", "ProxyCommand=false"}

	archive, there := filepath.Join(p.Dir("toolbox"), "archive"), filepath.Join(p.Dir("box"), "archive")
	writeNoise(t, archive, archiveSize)
	batch := "mkdir tbcli\nput " + archive + " tbcli/archive\nrename tbcli/archive " + there + "\nrmdir tbcli\n"
	if got := e.run(t, "sftp", batch, append(over, "-q", "-b", "-", e.host)...); got.Code != 0 {
		t.Fatalf("sftp of an archive = %+v, want status 0", got)
	}
	if want, got := fileSum(t, archive), fileSum(t, there); got != want {
		t.Errorf("sha256 of the archive in the workspace = %s, want %s", got, want)
	}

	const commands = 300
	began := time.Now()
	for i := range commands {
		want := Result{Stdout: fmt.Sprintln(i)}
		if got := e.run(t, "ssh", "", append(slices.Clone(over), e.host, fmt.Sprint("echo ", i))...); got != want {
			t.Fatalf("command %d over one connection = %+v, want %+v", i, got, want)
		}
	}
	t.Logf("%d commands over one connection took %v", commands, time.Since(began))
	e.mustTellOfThePath(t, master.PID())
	p.mustReport(t, "jetbrains")
}

// mustReport waits for the server's word of a session of that type.
func (p *place) mustReport(t *testing.T, sessionType string) {
	t.Helper()
	if _, err := p.server.Proc.WaitLine(within(t, patience), "type="+sessionType+" "); err != nil {
		t.Errorf("the server's log tells of no session of type %s: %v", sessionType, err)
	}
}

func fileSum(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return sum(h)
}

// TestEditorCommands runs what the extensions run beside ssh, as they do: with
// their flags, without input, and reading what they read.
func TestEditorCommands(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	u := &User{Host: p.client, world: p.World} // its environment tells of no server
	dir := filepath.Join(p.Dir("client"), "storage")
	token := strings.TrimSpace(p.user.MustRun("login", "token"))

	login := u.Coder(within(t, patience), "--global-config", dir, "login", "--use-token-as-session", p.server.URL)
	login.Env = append(login.Env, "CODER_SESSION_TOKEN="+token)
	if got := p.Run(login); got.Code != 0 {
		t.Fatalf("login of the extension = %+v, want status 0", got)
	}
	if got := u.MustRun("--global-config", dir, "login", "token", "--url", p.server.URL); strings.TrimSpace(got) != token {
		t.Errorf("login token = %q, want the token", got)
	}
	var version struct{ Version string }
	if err := json.Unmarshal([]byte(u.MustRun("version", "--output", "json")), &version); err != nil || !strings.HasPrefix(version.Version, "v2.") {
		t.Errorf("version --output json = %+v, %v", version, err)
	}
	for _, args := range [][]string{
		{"start", "--yes", "--reason", "vscode_connection", "admin/ws"},
		{"start", "--yes", "--reason", "jetbrains_connection", "--", "admin/ws"},
		{"update", "admin/ws"},
	} {
		if got := u.Run(within(t, patience), append([]string{"--global-config", dir}, args...)...); got.Code != 0 {
			t.Errorf("coder %s = %+v, want status 0", strings.Join(args, " "), got)
		}
	}
	var speed struct {
		Overall   map[string]float64
		Intervals []map[string]float64
	}
	if err := json.Unmarshal([]byte(u.MustRun("--global-config", dir, "speedtest", "admin/ws", "--output", "json", "-t", "1s")), &speed); err != nil || speed.Overall["throughput_mbits"] <= 0 || len(speed.Intervals) == 0 {
		t.Errorf("speedtest --output json = %+v, %v; want a rate", speed, err)
	}
	var check struct{ DERP, Interfaces struct{ Severity string } }
	if err := json.Unmarshal([]byte(u.MustRun("--global-config", dir, "netcheck")), &check); err != nil || check.DERP.Severity != "ok" || check.Interfaces.Severity == "" {
		t.Errorf("netcheck = %+v, %v; want a relay that is ok", check, err)
	}
	bundle := filepath.Join(dir, "bundle.zip")
	u.MustRun("--global-config", dir, "support", "bundle", "admin/ws", "--output-file", bundle, "--yes")
	if info, err := os.Stat(bundle); err != nil || info.Size() == 0 {
		t.Errorf("the file of support bundle: %v, %v; want one", info, err)
	}
	ping := u.screen(t, "--global-config", dir, "ping", "admin/ws")
	ping.mustShow("pong from admin/ws ", patience)
	if err := ping.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	ping.mustEnd(0)
	p.loginOfToolbox(t, token)
	if got := u.Run(within(t, patience), "--global-config", dir, "logout", "--url", p.server.URL, "--yes"); got.Code != 0 {
		t.Errorf("logout = %+v, want status 0", got)
	}
	if left, err := os.ReadFile(filepath.Join(dir, "session")); err == nil || bytes.Contains(left, []byte(token)) {
		t.Errorf("the session file after logout has %d bytes (%v), want it gone", len(left), err)
	}
}

// loginOfToolbox signs in as the plugin for Toolbox does, and looks for a session of
// its own.
func (p *place) loginOfToolbox(t *testing.T, token string) {
	t.Helper()
	u := &User{Host: p.client, world: p.World}
	dir := filepath.Join(p.Dir("client"), "toolbox")
	u.MustRun("login", p.server.URL, "--token", token, "--global-config", dir)
	stored, err := os.ReadFile(filepath.Join(dir, "session"))
	if got := strings.TrimSpace(string(stored)); err != nil || got == "" || got == token {
		t.Errorf("the session file after login --token = %q, %v; want a session of its own", stored, err)
	}
	u.MustRun("--global-config", dir, "start", "--yes", "--reason", "jetbrains_connection", "--", "admin/ws")
}
