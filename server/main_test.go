package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
	"github.com/berthdev/berth/server/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// logBuffer collects the log of a server.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// deployment is a server that runs, and what tests need to talk with it.
type deployment struct {
	*Server
	t    testing.TB
	logs *logBuffer
	http *http.Client
	stop func() error // ends Run and returns what it returned
}

// start runs a server until the end of the test. Empty fields of cfg take
// values for tests.
func start(t testing.TB, cfg Config) *deployment {
	t.Helper()
	logs := &logBuffer{}
	cfg.Logger = slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if cfg.HTTPAddress == "" {
		cfg.HTTPAddress = "127.0.0.1:0"
	}
	if cfg.RelayAddress == "" {
		cfg.RelayAddress = "127.0.0.1:0"
	}
	if cfg.DataDir == "" {
		cfg.DataDir = t.TempDir()
	}
	if cfg.BinDir == "" {
		cfg.BinDir = filepath.Join(cfg.DataDir, "slim")
	}
	s, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	transport := &http.Transport{}
	d := &deployment{Server: s, t: t, logs: logs, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	d.stop = sync.OnceValue(func() error {
		transport.CloseIdleConnections()
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Errorf("Run = %v, want nil after its context ended", err)
		}
		if t.Failed() {
			t.Logf("log of the server:\n%s", logs)
		}
	})
	return d
}

// each runs fn with a server on either database.
func each(t *testing.T, fn func(t *testing.T, d *deployment)) {
	storetest.EachConfig(t, func(t *testing.T, cfg store.Config) {
		fn(t, start(t, Config{PostgresURL: cfg.PostgresURL}))
	})
}

const (
	email    = "ada@example.com"
	password = "correct-Horse-battery-7"
)

// client calls without a token.
func (d *deployment) client() *api.Client { return &api.Client{URL: d.URL(), HTTP: d.http} }

// hashed is the hash of password, made once: it costs what a login costs.
var hashed = sync.OnceValues(func() (store.Secret, error) { return auth.HashPassword(password) })

// owner sets the server up and returns a client of its owner.
func (d *deployment) owner() *api.Client {
	d.t.Helper()
	return d.signIn(d.store.CreateFirstUser, "ada", email)
}

// member adds a user without roles and returns a client of it.
func (d *deployment) member(name string) *api.Client {
	d.t.Helper()
	return d.signIn(d.store.CreateUser, name, name+"@example.com")
}

func (d *deployment) signIn(create func(context.Context, store.NewUser) (store.User, error), name, email string) *api.Client {
	d.t.Helper()
	hash, err := hashed()
	if err != nil {
		d.t.Fatal(err)
	}
	u, err := create(d.t.Context(), store.NewUser{Username: name, Email: email, HashedPassword: hash})
	if err != nil {
		d.t.Fatal(err)
	}
	token, err := d.newKey(d.t.Context(), store.NewAPIKey{UserID: u.ID, LoginType: store.LoginPassword, Lifetime: time.Hour})
	if err != nil {
		d.t.Fatal(err)
	}
	c := d.client()
	c.Token = token.Reveal()
	return c
}

// workspace makes a workspace of the built-in template.
func (d *deployment) workspace(c *api.Client, name string) api.Workspace {
	d.t.Helper()
	ws, err := c.CreateWorkspace(d.t.Context(), api.Me, api.CreateWorkspaceRequest{TemplateID: &store.BYOTemplateID, Name: name})
	if err != nil {
		d.t.Fatalf("CreateWorkspace: %v", err)
	}
	return ws
}

// answer is what the server said to a call.
type answer struct {
	*http.Response
	body []byte
}

// call makes a request as clients that are not ours do. headers are pairs.
func (d *deployment) call(method, path, token, body string, headers ...string) answer {
	d.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.URL().String()+path, in)
	if err != nil {
		d.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set(api.HeaderToken, token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := d.http.Do(req)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatalf("%s %s: read answer: %v", method, path, err)
	}
	return answer{res, raw}
}

// problem decodes the body of an answer that is not a success.
func (a answer) problem(t testing.TB) api.Response {
	t.Helper()
	var out api.Response
	if got := a.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("%s %s: %d with Content-Type %q, want JSON", a.Request.Method, a.Request.URL, a.StatusCode, got)
	}
	if err := json.Unmarshal(a.body, &out); err != nil || out.Message == "" {
		t.Errorf("%s %s: %d %.200q, want an error body", a.Request.Method, a.Request.URL, a.StatusCode, a.body)
	}
	return out
}

func mustURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

func newRequest(t testing.TB, method, path string) *http.Request {
	return httptest.NewRequestWithContext(t.Context(), method, path, nil)
}
