package connect

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"storj.io/drpc/drpcmux"

	"github.com/berthdev/berth/connect/resume"
	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/tailnet/derpmap"
	"github.com/berthdev/berth/tailnet/proto"
	"github.com/berthdev/berth/tailnet/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is the server's side of the tailnet service; what it does not serve
// fails. It is told who connects and what they say.
type service struct {
	proto.DRPCTailnetUnimplementedServer
	t        *testing.T
	token    string
	requests chan *proto.CoordinateRequest
}

func (s *service) Coordinate(stream proto.DRPCTailnet_CoordinateStream) error {
	for {
		req, err := stream.Recv()
		if err != nil {
			return nil
		}
		s.requests <- req
	}
}

func (s *service) StreamDERPMaps(_ *proto.StreamDERPMapsRequest, stream proto.DRPCTailnet_StreamDERPMapsStream) error {
	<-stream.Context().Done()
	return nil
}

func (s *service) RefreshResumeToken(context.Context, *proto.RefreshResumeTokenRequest) (*proto.RefreshResumeTokenResponse, error) {
	return &proto.RefreshResumeTokenResponse{
		Token: s.token, RefreshIn: durationpb.New(time.Hour), ExpiresAt: timestamppb.New(time.Now().Add(2 * time.Hour)),
	}, nil
}

// fake is a server that knows the paths it is given.
type fake struct {
	*service
	client *api.Client
	dialed chan string // path and query of each WebSocket
	cut    chan struct{}
	mu     sync.Mutex
	refuse func(path string) int // status to refuse with, or 0
	reason string                // message of a refusal
}

func newFake(t *testing.T, refuse func(path string) int) *fake {
	f := &fake{
		service: &service{t: t, token: "resume-me", requests: make(chan *proto.CoordinateRequest, 100)},
		dialed:  make(chan string, 100), cut: make(chan struct{}), refuse: refuse, reason: "refused",
	}
	ts := httptest.NewServer(f)
	t.Cleanup(ts.Close)
	u, err := url.Parse(ts.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	f.client = &api.Client{URL: u, HTTP: &http.Client{Transport: transport}}
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	status, reason := f.refuse(r.URL.Path), f.reason
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if r.Header.Get("Upgrade") != "" {
		f.dialed <- r.URL.RequestURI()
	}
	switch {
	case status != 0:
		w.WriteHeader(status)
		res := api.Response{Message: reason}
		if strings.Contains(r.URL.RawQuery, "resume_token") {
			res.Validations = []api.Validation{{Field: "resume_token", Detail: "bad"}}
		}
		json.NewEncoder(w).Encode(res)
	case strings.HasSuffix(r.URL.Path, "/connection"):
		json.NewEncoder(w).Encode(api.ConnectionInfo{DERPMap: &derpmap.Map{Regions: map[int]*derpmap.Region{
			1: {RegionID: 1, RegionName: "One", Nodes: []*derpmap.Node{{Name: "1a", RegionID: 1, HostName: "127.0.0.1", IPv4: "127.0.0.1", DERPPort: 1, STUNPort: -1}}},
		}}, DisableDirectConnections: true})
	default:
		f.serve(w, r)
	}
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	srv := wire.NewServer(wire.NewSocket(ws))
	mux := drpcmux.New()
	if err := proto.DRPCRegisterTailnet(mux, f.service); err != nil {
		f.t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-f.cut:
			cancel()
		case <-ctx.Done():
		}
	}()
	srv.Serve(ctx, mux)
}

const patience = 30 * time.Second

func next[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}

func none(string) int { return 0 }

func TestReachAsksForTheAgentAndSaysGoodbye(t *testing.T) {
	f := newFake(t, none)
	agent := uuid.New()
	c := Open(Config{Client: f.client})
	defer c.Close()
	if got, want := next(t, f.dialed, "a WebSocket"), "/api/v2/tailnet?version=2.0"; got != want {
		t.Errorf("before the agent is known, %s was dialed, want %s", got, want)
	}
	if err := c.Reach(t.Context(), agent); err != nil {
		t.Fatal(err)
	}
	var tunnel, self, goodbye bool
	for !tunnel || !self {
		req := next(t, f.requests, "tunnel and record")
		tunnel = tunnel || string(req.GetAddTunnel().GetId()) == string(agent[:])
		self = self || req.GetUpdateSelf().GetNode().GetPreferredDerp() == 1
	}
	if got := c.RegionName(1); got != "One" {
		t.Errorf("RegionName(1) = %q, want One", got)
	}
	c.Close()
	for !goodbye {
		goodbye = next(t, f.requests, "goodbye").GetDisconnect() != nil
	}
}

func TestServersWithoutTheEndpointsForAllAgents(t *testing.T) {
	agent := uuid.New()
	f := newFake(t, func(path string) int {
		if path == "/api/v2/tailnet" || path == "/api/v2/workspaceagents/connection" {
			return http.StatusNotFound
		}
		return 0
	})
	c := Open(Config{Client: f.client})
	defer c.Close()
	next(t, f.dialed, "the first WebSocket")
	if err := c.Reach(t.Context(), agent); err != nil {
		t.Fatalf("Reach = %v", err)
	}
	if got, want := next(t, f.dialed, "the second WebSocket"), "/api/v2/workspaceagents/"+agent.String()+"/coordinate?version=2.0"; got != want {
		t.Errorf("dialed %s, want %s", got, want)
	}
}

func TestAnswersThatAreFinal(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 409, 500} {
		f := newFake(t, func(path string) int {
			if strings.HasSuffix(path, "/connection") {
				return 0
			}
			return status
		})
		c := Open(Config{Client: f.client})
		err := c.Reach(t.Context(), uuid.New())
		if api.StatusCode(err) != status {
			t.Errorf("Reach of a server that answers %d = %v, want that status", status, err)
		}
		c.Close()
	}
}

func TestComesBackAsTheSamePeer(t *testing.T) {
	f := newFake(t, none)
	c := Open(Config{Client: f.client})
	defer c.Close()
	next(t, f.dialed, "the first WebSocket")
	if err := c.Reach(t.Context(), uuid.New()); err != nil {
		t.Fatal(err)
	}
	for c.resume.valid(time.Now()) == "" {
		// The token is asked for after a second.
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("no token")
		}
	}
	f.cut <- struct{}{}
	if got, want := next(t, f.dialed, "the second WebSocket"), "/api/v2/tailnet?resume_token=resume-me&version=2.0"; got != want {
		t.Errorf("dialed %s, want %s", got, want)
	}
}

// Who comes back and is refused goes on as before, unless the user is suspended.
func TestOnlySuspensionEndsWhatGoesOn(t *testing.T) {
	f := newFake(t, none)
	c := Open(Config{Client: f.client})
	defer c.Close()
	next(t, f.dialed, "the first WebSocket")
	if err := c.Reach(t.Context(), uuid.New()); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	f.refuse = func(string) int { return http.StatusUnauthorized }
	f.mu.Unlock()
	f.cut <- struct{}{}
	for range 3 {
		next(t, f.dialed, "another WebSocket")
	}
	select {
	case <-c.barred:
		t.Errorf("a login that has expired ended the connection: %v", c.barredBy)
	default:
	}
	f.mu.Lock()
	f.reason = api.MessageNotActive + ` (status = "suspended").`
	f.mu.Unlock()
	next(t, c.barred, "the end of the connection")
	if _, err := c.openLasting(t.Context()); !errors.Is(err, resume.ErrOver) || !strings.Contains(err.Error(), api.MessageNotActive) {
		t.Errorf("a session that wants to go on: %v, want that it is over, and why", err)
	}
}

func TestRefusedResumeTokenIsDropped(t *testing.T) {
	f := newFake(t, none)
	f.refuse = func(string) int { return 0 }
	c := Open(Config{Client: f.client})
	defer c.Close()
	next(t, f.dialed, "the first WebSocket")
	if err := c.Reach(t.Context(), uuid.New()); err != nil {
		t.Fatal(err)
	}
	resume := &resumption{token: "old", expires: time.Now().Add(time.Hour)}
	refusals := 0
	f.mu.Lock()
	f.refuse = func(string) int {
		if refusals++; refusals == 1 {
			return http.StatusUnauthorized
		}
		return 0
	}
	f.mu.Unlock()
	s, err := c.redial(t.Context(), uuid.Nil, resume)
	if err != nil {
		t.Fatalf("redial = %v", err)
	}
	s.close()
	if got := next(t, f.dialed, "a WebSocket"); !strings.Contains(got, "resume_token=old") {
		t.Errorf("first dial of %s, want the token in it", got)
	}
	if got := next(t, f.dialed, "a WebSocket"); strings.Contains(got, "resume_token") {
		t.Errorf("second dial of %s, want no token", got)
	}
}

func TestCloseBeforeReach(t *testing.T) {
	f := newFake(t, none)
	c := Open(Config{Client: f.client})
	if err := c.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("second Close = %v", err)
	}
}

func TestReachEndsWithItsContext(t *testing.T) {
	stuck := make(chan struct{})
	ts := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-stuck:
		case <-r.Context().Done():
		}
	}))
	defer ts.Close()
	defer close(stuck)
	u, err := url.Parse(ts.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := Open(Config{Client: &api.Client{URL: u, HTTP: &http.Client{Transport: &http.Transport{}}}})
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Reach(ctx, uuid.New()); err == nil || ctx.Err() == nil {
		t.Errorf("Reach = %v, want the end of its context", err)
	}
}

func TestPausesGrowAndStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPauses()
		for want := firstPause; want < 4*lastPause; want *= 2 {
			start := time.Now()
			if !p.wait(t.Context()) {
				t.Fatal("wait = false while the context lives")
			}
			base := min(want, lastPause)
			if took := time.Since(start); took < base/2 || took > base*3/2 {
				t.Errorf("pause of %v, want %v and a half of it up or down", took, base)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if p.wait(ctx) {
			t.Error("wait = true after the end of the context")
		}
	})
}
