package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/connect"
	"github.com/berthdev/berth/connect/bundle"
	"github.com/berthdev/berth/connect/diagnose"
	"github.com/berthdev/berth/server/api"
)

// part is a file of a bundle, or why it could not be had.
type part struct {
	name string
	text []byte // if not nil; else
	json any
	err  error
}

func (p part) add(w *bundle.Writer) error {
	if p.text != nil {
		return w.Text(p.name, p.text)
	}
	return w.JSON(p.name, p.json)
}

// emit takes parts as they come.
type emit func(part)

// collect collects at once what does not depend on each other, until ctx ends,
// and closes parts after the last.
func (o *supportBundle) collect(ctx context.Context) <-chan part {
	parts := make(chan part)
	all := []func(context.Context, emit){o.here, o.doctor, o.netcheck, o.server, o.buildsAndLogs}
	for _, a := range o.agents() {
		all = append(all, func(ctx context.Context, out emit) { o.agent(ctx, a, out) })
	}
	var running sync.WaitGroup
	for _, run := range all {
		running.Go(func() { run(ctx, func(p part) { parts <- p }) })
	}
	go func() {
		running.Wait()
		close(parts)
	}()
	return parts
}

// agents are those of the workspace, or the one that was named.
func (o *supportBundle) agents() []api.Agent {
	all := agentsOf(o.workspace)
	if o.target == nil || o.target.agent == "" {
		return all
	}
	return slices.DeleteFunc(all, func(a api.Agent) bool { return !strings.EqualFold(a.Name, o.target.agent) })
}

// here is this side: what program it is, on what, in which environment.
func (o *supportBundle) here(_ context.Context, out emit) {
	for _, p := range o.failed {
		out(p)
	}
	out(part{name: "client/version.json", json: struct {
		versionInfo
		OS, Arch, Go string
		Time         time.Time
	}{versionInfo{Version: api.Version, BuildTime: buildTime(), ExternalURL: homepage, Slim: slim}, runtime.GOOS, runtime.GOARCH, runtime.Version(), time.Now()}})
	out(part{name: "client/environment.txt", text: environment()})
}

// known are the variables that this program or its libraries heed and whose
// values may be told; of other CODER_ variables only the names are.
var known = []string{
	"CODER_URL", "CODER_CONFIG_DIR", "CODER_VERBOSE", "CODER_NO_VERSION_WARNING", "CODER_DISABLE_DIRECT_CONNECTIONS", "CODER_USE_KEYRING",
	"CODER_CLIENT_TLS_CERT_FILE", "CODER_CLIENT_TLS_KEY_FILE", "CODER_CLIENT_TLS_CA_FILE",
	"CODER_SSH_WAIT", "CODER_SSH_LOG_DIR", "CODER_SSH_DISABLE_AUTOSTART", "CODER_WORKSPACE_NAME", "CODER_AGENT_URL",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "GODEBUG", "GOMAXPROCS", "LANG", "LC_ALL", "TZ", "TERM", "SHELL", "XDG_CONFIG_HOME", "WSL_DISTRO_NAME",
}

func environment() []byte {
	lines := []string{}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		switch {
		case slices.Contains(known, name):
			lines = append(lines, entry)
		case strings.HasPrefix(name, "CODER_"):
			lines = append(lines, name+"="+bundle.Masked)
		}
	}
	slices.Sort(lines)
	return []byte(strings.Join(lines, "\n") + "\n")
}

// secretsOfEnvironment are the values of variables with secret names, and the
// passwords in URLs, which other parts may have.
func secretsOfEnvironment() []string {
	var all []string
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if bundle.IsSecretName(name) {
			all = append(all, value)
		}
		if u, err := url.Parse(value); err == nil && u.User != nil {
			password, _ := u.User.Password()
			all = append(all, password)
		}
	}
	return all
}

func (o *supportBundle) doctor(ctx context.Context, out emit) {
	d := &doctor{client: o.client, target: o.target}
	found := []finding{}
	_, err := d.examine(ctx, &o.globals, func(f diagnose.Finding) { found = append(found, findingOf(f)) })
	if err != nil {
		out(part{name: "client/doctor.json", err: err})
	}
	out(part{name: "client/doctor.json", json: found})
}

func (o *supportBundle) netcheck(ctx context.Context, out emit) {
	ctx, cancel := context.WithTimeout(ctx, netcheckTimeout)
	defer cancel()
	const name = "client/netcheck.json"
	conn := connect.Open(connect.Config{Client: o.client, BlockDirect: o.disableDirect, Logger: o.logger()})
	err := conn.Reach(ctx, uuid.Nil)
	if err == nil {
		out(part{name: name, json: conn.Report(ctx)})
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		out(part{name: name, err: err})
	}
}

// server is what the server says of itself and of the caller.
func (o *supportBundle) server(ctx context.Context, out emit) {
	info, err := o.client.BuildInfo(ctx)
	out(part{name: "server/buildinfo.json", json: info, err: err})
	user, err := o.client.User(ctx, api.Me)
	out(part{name: "server/user.json", json: identity{o.client.URL.String(), user.Username, user.ID, user.OrganizationIDs, user.Roles}, err: err})
	relays, err := o.client.AnyConnectionInfo(ctx)
	out(part{name: "server/connection.json", json: relays, err: err})
	ssh, err := o.client.SSHConfig(ctx)
	out(part{name: "server/ssh.json", json: ssh, err: err})
}

func (o *supportBundle) buildsAndLogs(ctx context.Context, out emit) {
	if len(o.builds) == 0 {
		return
	}
	out(part{name: "workspace.json", json: o.workspace})
	for _, b := range o.builds {
		name := fmt.Sprintf("builds/%d", b.BuildNumber)
		out(part{name: name + ".json", json: b})
		lines, err := o.client.BuildLogs(ctx, b.ID, 0)
		text := []byte{}
		for _, l := range lines {
			text = fmt.Appendf(text, "%s %s %s [%s] %s\n", l.CreatedAt.Format(time.RFC3339), l.LogSource, l.LogLevel, l.Stage, l.Output)
		}
		out(part{name: name + ".log", text: text, err: err})
	}
}

// ofAgents are the files of an agent, and where it answers them.
var ofAgents = []struct {
	path, name string
}{
	{"/debug/logs", "debug.log"},
	{"/debug/manifest", "manifest.json"},
	{"/debug/magicsock", "paths.json"},
	{"/debug/prometheus", "metrics.txt"},
	{"/api/v0/listening-ports", "ports.json"},
	{"/api/v0/netcheck", "netcheck.json"},
}

// answerFor bounds each answer of an agent; it makes a netcheck in 10 s.
const answerFor = 15 * time.Second

// agent asks the server and the agent itself for its logs and how it is.
func (o *supportBundle) agent(ctx context.Context, a api.Agent, out emit) {
	dir := "agents/" + a.ID.String() + "/"
	if validAgent.MatchString(a.Name) { // it becomes a path where the zip is unpacked
		dir = "agents/" + a.Name + "/"
	}
	out(part{name: dir + "agent.json", json: a})
	lines, err := o.client.AgentLogs(ctx, a.ID, 0)
	text := []byte{}
	for _, l := range lines {
		text = fmt.Appendf(text, "%s %s %s %s\n", l.CreatedAt.Format(time.RFC3339), l.SourceID, l.Level, l.Output)
	}
	out(part{name: dir + "scripts.log", text: text, err: err})
	if a.Status != api.AgentConnected {
		out(part{name: dir + "debug.log", err: fmt.Errorf("the agent is not asked: it is %s", a.Status)})
		return
	}
	var log lastLog
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	conn := connect.Open(connect.Config{Client: o.client, BlockDirect: o.disableDirect, Logger: logger})
	if err := conn.Reach(ctx, a.ID); err != nil {
		out(part{name: dir + "debug.log", err: err})
	} else {
		askAgent(ctx, conn, dir, out)
	}
	if err := conn.Close(); err != nil {
		out(part{name: dir + "connection.log", err: err})
	}
	out(part{name: dir + "connection.log", text: log.text()})
}

// askAgent asks an agent for all that it can say. One that does not answer is
// asked no more.
func askAgent(ctx context.Context, conn *connect.Conn, dir string, out emit) {
	for _, f := range ofAgents {
		ctx, cancel := context.WithTimeout(ctx, answerFor)
		raw, err := conn.AgentSays(ctx, f.path)
		late := ctx.Err() != nil
		cancel()
		p := part{name: dir + f.name, text: raw, err: err}
		if strings.HasSuffix(f.name, ".json") {
			p.text, p.json = nil, json.RawMessage(raw)
		}
		if out(p); late {
			return
		}
	}
}

// maxLastLog is how many bytes of the log of a connection are kept.
const maxLastLog = 512 << 10

// lastLog keeps the end of a log.
type lastLog struct {
	mu   sync.Mutex // guards kept
	kept []byte     // up to twice maxLastLog
}

// Write keeps p. It never fails.
func (l *lastLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept = append(l.kept, p...); len(l.kept) > 2*maxLastLog {
		l.kept = append(l.kept[:0], l.kept[len(l.kept)-maxLastLog:]...)
	}
	return len(p), nil
}

func (l *lastLog) text() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]byte{}, bytes.ToValidUTF8(l.kept, nil)...)
}
