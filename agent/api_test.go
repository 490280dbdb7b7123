//go:build linux

package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/tailnet"
)

// startAPI serves what peers are answered on port 4 by an agent of the manifest.
func startAPI(t *testing.T, m *proto.Manifest) (a *Agent, url string) {
	t.Helper()
	s := startFakeServer(t, m)
	a, _ = startAgent(t, s)
	s.until("connected", func() bool { return len(s.calls) > 1 })
	server := httptest.NewServer(a.currentNetwork().routes())
	t.Cleanup(server.Close)
	return a, server.URL
}

// call returns the status and the body of an answer; change sees the request first.
func call(t *testing.T, method, url, body string, change func(*http.Request)) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(req)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func TestAPIOfAnAgent(t *testing.T) {
	_, url := startAPI(t, &proto.Manifest{})
	for _, q := range []struct {
		path   string
		status int
		says   string
	}{
		{"/", 200, "agent of a workspace"},
		{"/else", 404, ""},
		{"/api/v0/containers", 403, "no dev containers"},
		{"/api/v0/netcheck", 200, `"interfaces":[{"name":"`},
		{"/debug/magicsock", 200, `"home_region":1`},
		{"/debug/logs", 200, "msg=\"connected to the server\""},
		{"/debug/manifest", 200, `"workspace_name":"ws"`},
		{"/api/v0/read-file?path=/proc/self/environ", 200, beHost + "="}, // of the session host
		{"/api/v0/processes/list", 200, `"processes":[]`},
	} {
		if status, body := call(t, http.MethodGet, url+q.path, "", nil); status != q.status || !strings.Contains(body, q.says) {
			t.Errorf("GET %s = %d %s, want %d and %q", q.path, status, body, q.status, q.says)
		}
	}
}

// TestBrowserOriginIsRefused sends what pages in a browser can send.
func TestBrowserOriginIsRefused(t *testing.T) {
	_, url := startAPI(t, &proto.Manifest{})
	path := filepath.Join(t.TempDir(), "f")
	write := url + "/api/v0/write-file?path=" + path
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	for _, q := range []struct {
		what, method, url string
		change            func(*http.Request)
	}{
		{"a page's POST", "POST", write, header("Origin", "https://example.com")},
		{"a page without a name", "POST", write, header("Origin", "null")},
		{"a page of ours", "POST", write, header("Origin", url)},
		{"a form of another site", "POST", write, header("Sec-Fetch-Site", "cross-site")},
		{"a command", "POST", url + "/api/v0/processes/start", header("Origin", "https://example.com")},
		{"the end of a terminal", "DELETE", url + "/api/v0/terminals/" + uuid.NewString(), header("Origin", "https://example.com")},
		{"a name that leads here", "GET", url + "/api/v0/read-file?path=/etc/hostname", host("rebound.example.com:4")},
	} {
		if status, body := call(t, q.method, q.url, "{}", q.change); status != http.StatusForbidden {
			t.Errorf("%s = %d %s, want 403", q.what, status, body)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file was written: %v", err)
	}
	for _, name := range []string{"agent", "127.0.0.1", "[fd7a:115c:a1e0::1]:4", "fd7a:115c:a1e0::1", "localhost:4"} {
		if status, body := call(t, "POST", write, "x", host(name)); status != http.StatusOK {
			t.Errorf("a program that asks for %s = %d %s, want 200", name, status, body)
		}
	}
}

// TestNoSecretInDebug has each kind of secret in the manifest, and a log that says
// them.
func TestNoSecretInDebug(t *testing.T) {
	id, source := uuid.New(), uuid.New()
	const tricky = "s3cret-\"quoted\"\nline"
	a, url := startAPI(t, &proto.Manifest{
		EnvironmentVariables: map[string]string{"API_KEY": "s3cret-env"},
		Secrets:              []*proto.WorkspaceSecret{{EnvName: "TOKEN", Value: []byte("s3cret-value")}, {EnvName: "MORE", Value: []byte(tricky)}},
		Scripts:              []*proto.WorkspaceAgentScript{{Id: id[:], LogSourceId: source[:], DisplayName: "setup", Script: "login s3cret-script"}},
		Apps:                 []*proto.WorkspaceApp{{Id: id[:], Slug: "code", Url: "http://localhost/?t=s3cret-app", Healthcheck: &proto.WorkspaceApp_Healthcheck{Url: "http://localhost/?t=s3cret-app"}}},
		Metadata:             []*proto.WorkspaceAgentMetadata_Description{{Key: "m", Script: "echo s3cret-metadata"}},
	})
	token := a.cfg.Client.Token
	a.log.Warn("somebody's error", "err", errors.New("s3cret-value with "+tricky+" and "+token))
	_, manifest := call(t, http.MethodGet, url+"/debug/manifest", "", nil)
	_, logs := call(t, http.MethodGet, url+"/debug/logs", "", nil)
	for what, text := range map[string]string{"manifest": manifest, "logs": logs} {
		if strings.Contains(text, "s3cret") || strings.Contains(text, token) {
			t.Errorf("/debug/%s has a secret: %s", what, text)
		}
	}
	for _, want := range []string{`"API_KEY":"[masked]"`, `"env_name":"TOKEN","value":"[masked]"`, `"display_name":"setup"`, `"script_bytes":19`, `"slug":"code"`, `"key":"m"`} {
		if !strings.Contains(manifest, want) {
			t.Errorf("/debug/manifest = %s, want %s in it", manifest, want)
		}
	}
	if !strings.Contains(logs, "[masked] with [masked] and [masked]") {
		t.Errorf("/debug/logs = %s, want that something was masked", logs)
	}
}

func TestLastLinesAreKept(t *testing.T) {
	lines := &lastLines{}
	log := kept(slog.New(slog.DiscardHandler), lines)
	const many = 20_000
	for i := range many {
		log.Info("line", "number", i)
	}
	log.Debug("not wanted")
	text := lines.text()
	if len(text) > maxLogs || len(text) < maxLogs-200 || !bytes.HasPrefix(text, []byte("time=")) {
		t.Errorf("%d bytes are kept, beginning with %q; want whole lines of %d bytes", len(text), text[:min(len(text), 40)], maxLogs)
	}
	if !bytes.HasSuffix(text, fmt.Appendf(nil, "number=%d\n", many-1)) {
		t.Errorf("the end is %q, want the last line", text[len(text)-80:])
	}
	if _, err := lines.Write(bytes.Repeat([]byte("x"), 3*maxLogs)); err != nil || len(lines.text()) > maxLogs {
		t.Errorf("after a huge line %d bytes are kept, %v", len(lines.text()), err)
	}
}

// TestOneNetcheckForAllWhoAsk has three ask while one is made: that and one more.
func TestOneNetcheckForAllWhoAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newNetchecks()
		var made atomic.Int32
		slow := func(context.Context) tailnet.Report {
			<-time.After(time.Second) // of the bubble's clock
			return tailnet.Report{DERP: tailnet.RelaysReport{Error: fmt.Sprint(made.Add(1))}}
		}
		got := make([]string, 4)
		var asking sync.WaitGroup
		for i := range got {
			asking.Go(func() {
				<-time.After(time.Duration(i) * 100 * time.Millisecond)
				r, err := c.report(t.Context(), slow)
				if err != nil {
					t.Error(err)
					return
				}
				got[i] = r.DERP.Error
			})
		}
		asking.Wait()
		if made.Load() != 1 || got[3] != "1" {
			t.Errorf("%d reports were made, answers %q; want one for all", made.Load(), got)
		}
		if r, err := c.report(t.Context(), slow); err != nil || r.DERP.Error != "2" {
			t.Errorf("one who asks later gets %+v, %v; want another report", r, err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if r, err := c.report(gone, slow); !errors.Is(err, context.Canceled) {
			t.Errorf("one who left gets %+v, %v", r, err)
		}
		if r, err := c.report(t.Context(), slow); err != nil || r.DERP.Error == "" {
			t.Errorf("the one after them gets %+v, %v", r, err)
		}
	})
}
