//go:build linux

package agent

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"golang.org/x/crypto/ssh"
	"google.golang.org/protobuf/types/known/durationpb"
	"storj.io/drpc/drpcmux"

	"github.com/berthdev/berth/agent/host"
	"github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/tailnet/derpmap"
	tailnetproto "github.com/berthdev/berth/tailnet/proto"
	"github.com/berthdev/berth/tailnet/wire"
)

// beHost makes the test binary a session host of that name.
const beHost = "BERTH_TEST_AGENT_HOST"

func TestMain(m *testing.M) {
	name := os.Getenv(beHost)
	if name == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := host.Run(ctx, host.Config{Name: name, Version: "test"}); err != nil {
		os.Exit(1)
	}
}

// patience is how long a test waits for what takes a moment.
const patience = 30 * time.Second

// fakeServer answers the calls that every server must (reference: agent §3),
// and no others; its tailnet has nobody else on it.
type fakeServer struct {
	proto.DRPCAgentUnimplementedServer
	tailnetproto.DRPCTailnetUnimplementedServer
	t        *testing.T
	url      *url.URL
	manifest *proto.Manifest

	mu       sync.Mutex // guards below
	calls    []string
	states   []proto.Lifecycle_State
	lines    []string
	breakAt  string // a line at whose first arrival the session breaks, unanswered
	sessions []*websocket.Conn
	news     chan struct{}
}

func startFakeServer(t *testing.T, m *proto.Manifest) *fakeServer {
	t.Helper()
	s := &fakeServer{t: t, manifest: m, news: make(chan struct{})}
	ts := httptest.NewServer(http.HandlerFunc(s.rpc))
	t.Cleanup(ts.Close)
	var err error
	if s.url, err = url.Parse(ts.URL); err != nil {
		t.Fatal(err)
	}
	id, workspace := uuid.New(), uuid.New()
	m.AgentId, m.WorkspaceId, m.AgentName, m.WorkspaceName, m.OwnerUsername = id[:], workspace[:], "main", "ws", "ada"
	m.DerpMap = (&derpmap.Map{Regions: map[int]*derpmap.Region{1: {
		RegionID: 1, RegionCode: "x", RegionName: "x",
		Nodes: []*derpmap.Node{{Name: "1", RegionID: 1, HostName: "127.0.0.1", DERPPort: 1}},
	}}}).Proto()
	return s
}

func (s *fakeServer) rpc(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/api/v2/workspaceagents/me/rpc" {
		http.NotFound(w, r)
		return
	}
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		s.t.Error(err)
		return
	}
	s.mu.Lock()
	s.sessions = append(s.sessions, ws)
	s.mu.Unlock()
	mux := drpcmux.New()
	if err := errors.Join(proto.DRPCRegisterAgent(mux, s), tailnetproto.DRPCRegisterTailnet(mux, s)); err != nil {
		s.t.Error(err)
	}
	server := wire.NewServer(wire.NewSocket(ws))
	_ = server.Serve(r.Context(), mux)
}

// called notes a call.
func (s *fakeServer) called(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, name)
	close(s.news)
	s.news = make(chan struct{})
}

func (s *fakeServer) GetManifest(context.Context, *proto.GetManifestRequest) (*proto.Manifest, error) {
	defer s.called("GetManifest")
	return s.manifest, nil
}

func (s *fakeServer) GetAnnouncementBanners(context.Context, *proto.GetAnnouncementBannersRequest) (*proto.GetAnnouncementBannersResponse, error) {
	defer s.called("GetAnnouncementBanners")
	return &proto.GetAnnouncementBannersResponse{}, nil
}

func (s *fakeServer) UpdateStartup(_ context.Context, req *proto.UpdateStartupRequest) (*proto.Startup, error) {
	defer s.called("UpdateStartup")
	return req.Startup, nil
}

func (s *fakeServer) UpdateLifecycle(_ context.Context, req *proto.UpdateLifecycleRequest) (*proto.Lifecycle, error) {
	s.mu.Lock()
	s.states = append(s.states, req.Lifecycle.State)
	s.mu.Unlock()
	defer s.called("UpdateLifecycle")
	return req.Lifecycle, nil
}

func (s *fakeServer) UpdateStats(context.Context, *proto.UpdateStatsRequest) (*proto.UpdateStatsResponse, error) {
	defer s.called("UpdateStats")
	return &proto.UpdateStatsResponse{ReportInterval: durationpb.New(time.Second)}, nil
}

func (s *fakeServer) BatchCreateLogs(_ context.Context, req *proto.BatchCreateLogsRequest) (*proto.BatchCreateLogsResponse, error) {
	s.mu.Lock()
	broken := false
	for _, l := range req.Logs {
		s.lines = append(s.lines, l.Output)
		broken = broken || l.Output == s.breakAt
	}
	if broken {
		s.breakAt = ""
		s.sessions[len(s.sessions)-1].CloseNow()
	}
	s.mu.Unlock()
	defer s.called("BatchCreateLogs")
	if broken {
		return nil, errors.New("the session breaks")
	}
	return &proto.BatchCreateLogsResponse{}, nil
}

func (s *fakeServer) Coordinate(stream tailnetproto.DRPCTailnet_CoordinateStream) error {
	for {
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
}

func (s *fakeServer) StreamDERPMaps(_ *tailnetproto.StreamDERPMapsRequest, stream tailnetproto.DRPCTailnet_StreamDERPMapsStream) error {
	if err := stream.Send(s.manifest.DerpMap); err != nil {
		return err
	}
	<-stream.Context().Done()
	return stream.Context().Err()
}

// until waits until something is so, which is asked after each call.
func (s *fakeServer) until(what string, is func() bool) {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		ok, news := is(), s.news
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-news:
		case <-deadline:
			s.t.Fatalf("no %s within %v; calls %q, states %v, lines %q", what, patience, s.calls, s.states, s.lines)
		}
	}
}

// startAgent runs an agent with a session host of its own.
func startAgent(t *testing.T, s *fakeServer) (a *Agent, end func() error) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("HOME", dir) // whose start files no shell reads
	a = New(Config{
		Client: &api.Client{URL: s.url, Token: uuid.NewString()}, Sessions: host.Options{DataDir: dir, LogDir: dir}, Version: "v0.0.1",
		StartHost: func(name string) error {
			return host.Start(nil, append(os.Environ(), beHost+"="+name), filepath.Join(dir, "host.log"))
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	end = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = end() })
	return a, end
}

// TestServerWithMandatoryCallsOnly lives a whole life, with scripts and a login,
// on a server that knows nothing else.
func TestServerWithMandatoryCallsOnly(t *testing.T) {
	script, source, stop := uuid.New(), uuid.New(), uuid.New()
	s := startFakeServer(t, &proto.Manifest{Scripts: []*proto.WorkspaceAgentScript{
		{Id: script[:], LogSourceId: source[:], DisplayName: "start", Script: "echo begun", RunOnStart: true},
		{Id: stop[:], LogSourceId: source[:], DisplayName: "stop", Script: "echo ended", RunOnStop: true},
	}, Metadata: []*proto.WorkspaceAgentMetadata_Description{{Key: "m", Script: "echo x", Interval: durationpb.New(1)}}})
	a, end := startAgent(t, s)
	s.until("ready", func() bool { return slices.Contains(s.states, proto.Lifecycle_READY) })
	logIn(t, a)
	s.until("three statistics", func() bool {
		return len(slices.DeleteFunc(slices.Clone(s.calls), func(c string) bool { return c != "UpdateStats" })) >= 3
	})
	if err := end(); err != nil {
		t.Errorf("Run = %v", err)
	}
	want := []proto.Lifecycle_State{proto.Lifecycle_STARTING, proto.Lifecycle_READY, proto.Lifecycle_SHUTTING_DOWN, proto.Lifecycle_OFF}
	if !slices.Equal(s.states, want) {
		t.Errorf("states = %v, want %v", s.states, want)
	}
	if !slices.Equal(s.lines, []string{"begun", "ended"}) {
		t.Errorf("lines = %q, want those of both scripts", s.lines)
	}
	if len(s.sessions) != 1 {
		t.Errorf("the agent connected %d times, want once: nothing that a server may leave out ends a session", len(s.sessions))
	}
	if first := strings.Join(s.calls[:2], " "); first != "GetManifest UpdateStartup" && s.calls[0] != "GetManifest" {
		t.Errorf("first calls = %s, want the manifest", first)
	}
}

// TestLastStateOutlivesABreak breaks the session while the server is told what
// the scripts of the stop printed: the next session tells it, and the rest.
func TestLastStateOutlivesABreak(t *testing.T) {
	stop, source := uuid.New(), uuid.New()
	s := startFakeServer(t, &proto.Manifest{Scripts: []*proto.WorkspaceAgentScript{
		{Id: stop[:], LogSourceId: source[:], DisplayName: "stop", Script: "echo ended", RunOnStop: true},
	}})
	_, end := startAgent(t, s)
	s.until("ready", func() bool { return slices.Contains(s.states, proto.Lifecycle_READY) })
	s.mu.Lock()
	s.breakAt = "ended"
	s.mu.Unlock()
	if err := end(); err != nil {
		t.Errorf("Run = %v", err)
	}
	if !slices.Equal(s.lines, []string{"ended", "ended"}) {
		t.Errorf("lines = %q, want the one that was not answered again", s.lines)
	}
	if last := s.states[len(s.states)-1]; last != proto.Lifecycle_OFF {
		t.Errorf("states = %v, want off at the end", s.states)
	}
}

// TestReconnectKeepsWhatRuns breaks the session with the server: scripts do not
// run again, states are not said again, and a login stays.
func TestReconnectKeepsWhatRuns(t *testing.T) {
	script, source := uuid.New(), uuid.New()
	s := startFakeServer(t, &proto.Manifest{Scripts: []*proto.WorkspaceAgentScript{
		{Id: script[:], LogSourceId: source[:], DisplayName: "start", Script: "echo begun", RunOnStart: true},
	}})
	a, end := startAgent(t, s)
	s.until("ready", func() bool { return slices.Contains(s.states, proto.Lifecycle_READY) })
	session := logIn(t, a)
	for n := range 3 {
		s.mu.Lock()
		ws := s.sessions[n]
		s.mu.Unlock()
		ws.CloseNow()
		s.until("another session", func() bool {
			return len(slices.DeleteFunc(slices.Clone(s.calls), func(c string) bool { return c != "GetAnnouncementBanners" })) >= n+2
		})
	}
	if _, err := io.WriteString(session.in, "still\n"); err != nil {
		t.Errorf("write to the login: %v", err)
	}
	if got := session.line(t); got != "still\n" {
		t.Errorf("the login answers %q, want it to go on", got)
	}
	session.Close()
	if err := end(); err != nil {
		t.Errorf("Run = %v", err)
	}
	if !slices.Equal(s.lines, []string{"begun"}) || len(s.states) != 4 {
		t.Errorf("lines %q and states %v, want each once", s.lines, s.states)
	}
}

// loggedIn is a session that echoes.
type loggedIn struct {
	*ssh.Client
	in  io.Writer
	out io.Reader
}

// logIn opens a session through the session host, as a peer of the tailnet.
func logIn(t *testing.T, a *Agent) loggedIn {
	t.Helper()
	conn, err := a.currentNetwork().host.Dial(t.Context(), host.KindSSH, netip.MustParseAddrPort("[fd7a:115c:a1e0::7]:4711"))
	if err != nil {
		t.Fatal(err)
	}
	sc, chans, reqs, err := ssh.NewClientConn(conn, "", &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		t.Fatal(err)
	}
	l := loggedIn{Client: ssh.NewClient(sc, chans, reqs)}
	t.Cleanup(func() { l.Close() })
	session, err := l.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if l.in, err = session.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if l.out, err = session.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := session.Start("exec cat"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(l.in, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if got := l.line(t); got != "hello\n" {
		t.Fatalf("the login answers %q", got)
	}
	return l
}

func (l loggedIn) line(t *testing.T) string {
	t.Helper()
	buf := make([]byte, 64)
	n, err := l.out.Read(buf)
	if err != nil {
		t.Fatalf("read from the login: %v", err)
	}
	return string(buf[:n])
}
